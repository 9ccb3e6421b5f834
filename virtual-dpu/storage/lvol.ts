import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failing } from './exports.ts';
import type { Face } from './face.ts';
import { type Blob, checkRoom, keep, type LvolStore } from './lvol-store.ts';
import { addNodes, runJob } from './qsd.ts';
import { resizeBdev } from './resize.ts';
import { errno } from './rpc-error.ts';
import { addVolume, closeVolume, makeImage, openImage, openVolume, type Volume } from './volume.ts';

/** A volume with where it is. */
export interface Found {
  readonly store: LvolStore;
  readonly blob: Blob;
  readonly volume: Volume;
}

/** The volume of a bdev's name or alias; undefined when there is none, or it is no volume. */
export function findVolume(face: Face, name: string): Found | undefined {
  const bdev = face.bdevs.find(name);
  for (const store of face.stores.values()) {
    for (const blob of store.record.blobs) {
      const volume = store.volumes.get(blob.uuid);
      if (volume !== undefined && volume.bdev === bdev) return { store, blob, volume };
    }
  }
  return undefined;
}

/** Makes an empty volume and answers its uuid. @throws RpcError `EEXIST`, `ENOSPC` (-32602) */
export async function createVolume(
  face: Face,
  store: LvolStore,
  spec: { readonly name: string; readonly sizeBytes: number; readonly thin: boolean },
): Promise<string> {
  checkName(store, spec.name, -17);
  const sizeBytes = whole(store, spec.sizeBytes);
  if (!spec.thin) await checkRoom(store, sizeBytes);
  const image = await makeImage(face, store.dir, sizeBytes, null);
  const blob = { ...fresh(spec.name), ...image, sizeBytes, thin: spec.thin };
  await keep(store, { ...store.record, blobs: [...store.record.blobs, blob] });
  await openVolume(face, store, blob);
  return blob.uuid;
}

/**
 * Takes a snapshot while the volume is in use, and answers its uuid. The volume's image becomes the snapshot's and the volume goes on in a new
 * one; the store's file says so first, since after a crash in between the new one is empty and all is in the old.
 * @throws RpcError `EEXIST` (-32602)
 */
export async function snapshotVolume(face: Face, found: Found, name: string): Promise<string> {
  const { store, blob, volume } = found;
  idle(volume);
  checkName(store, name, -32602);
  const image = await makeImage(face, store.dir, blob.sizeBytes, blob.file);
  const snapshot: Blob = { ...blob, uuid: randomUUID(), name, snapshot: true };
  const after: Blob = { ...blob, ...image, parent: snapshot.uuid, thin: true };
  await keep(store, { ...store.record, blobs: [...replaced(store, after), snapshot] });
  const overlay = await openImage(face, join(store.dir, after.file), { backing: null, readOnly: false });
  await face.qsd.qmp.execute('blockdev-snapshot', { node: volume.image.format, overlay: overlay.format });
  const old = volume.image;
  volume.image = overlay;
  await addVolume(face, store, snapshot, old);
  return snapshot.uuid;
}

/** Makes a writable volume on a snapshot and answers its uuid. @throws RpcError `EEXIST`, `EINVAL` (-32602) when it is no snapshot */
export async function cloneSnapshot(face: Face, found: Found, name: string): Promise<string> {
  const { store, blob } = found;
  if (!blob.snapshot && !blob.readOnly) throw errno('EINVAL', -32602);
  checkName(store, name, -32602);
  const image = await makeImage(face, store.dir, blob.sizeBytes, blob.file);
  const clone = { ...fresh(name), ...image, parent: blob.uuid, sizeBytes: blob.sizeBytes, thin: true };
  await keep(store, { ...store.record, blobs: [...store.record.blobs, clone] });
  await openVolume(face, store, clone);
  return clone.uuid;
}

/** Gives a volume another size, seen by who is connected. @throws RpcError `ENOSPC`, `EPERM` (-32602) */
export async function resizeVolume(face: Face, found: Found, bytes: number): Promise<void> {
  const { store, blob, volume } = found;
  idle(volume);
  if (blob.snapshot || blob.readOnly) throw errno('EPERM', -32602);
  const sizeBytes = whole(store, bytes);
  if (!blob.thin) await checkRoom(store, sizeBytes - blob.sizeBytes);
  await resizeBdev(face, volume.bdev, sizeBytes);
  await keep(store, { ...store.record, blobs: replaced(store, { ...blob, sizeBytes }) });
}

/** Removes a volume; what its only clone has of it is copied there first. @throws RpcError `EPERM` (-32603) with several clones */
export async function removeVolume(face: Face, found: Found): Promise<void> {
  const { store, blob, volume } = found;
  idle(volume);
  const clones = store.record.blobs.filter((each) => each.parent === blob.uuid);
  if (clones.length > 1) throw errno('EPERM', -32603);
  const [clone] = clones;
  if (clone !== undefined) {
    const user = store.volumes.get(clone.uuid);
    if (user === undefined) throw errno('ENODEV', -32603);
    idle(user);
    await copyDown(face, store, user, blob.parent);
    await keep(store, {
      ...store.record,
      blobs: replaced(store, { ...clone, parent: blob.parent }).filter((each) => each.uuid !== blob.uuid),
    });
  } else {
    await keep(store, { ...store.record, blobs: store.record.blobs.filter((each) => each.uuid !== blob.uuid) });
  }
  await closeVolume(face, store, blob.uuid);
  await rm(join(store.dir, blob.file), { force: true });
}

/**
 * Copies what a volume has of its snapshots (`inflate`: of all, and it is thick then), or only of its parent. Other requests go on meanwhile.
 * @throws RpcError `EINVAL` (-32602) when it has no parent to let go of
 */
export async function letGo(face: Face, found: Found, inflate: boolean): Promise<void> {
  const { store, volume } = found;
  const parent = store.record.blobs.find((each) => each.uuid === found.blob.parent);
  if (!inflate && parent === undefined) throw errno('EINVAL', -32602);
  const bottom = inflate ? null : (parent?.parent ?? null);
  try {
    if (parent !== undefined) await copyDown(face, store, volume, bottom);
  } finally {
    volume.busy = false;
  }
  await face.inTurn(async () => {
    const blob = store.record.blobs.find((each) => each.uuid === found.blob.uuid);
    if (blob === undefined) return;
    const thin = inflate ? false : blob.thin;
    await keep(store, { ...store.record, blobs: replaced(store, { ...blob, parent: bottom, thin }) });
  });
}

/** Gives a volume another name in its store. @throws RpcError `EEXIST` (-32602) */
export async function renameVolume({ store, blob, volume }: Found, name: string): Promise<void> {
  checkName(store, name, -32602);
  await keep(store, { ...store.record, blobs: replaced(store, { ...blob, name }) });
  volume.bdev.aliases = [`${store.record.name}/${name}`];
}

/** Makes a volume read-only for good. Who has it open for writing keeps it, and writes fail. */
export async function setReadOnly(face: Face, { store, blob, volume }: Found): Promise<void> {
  if (volume.bdev.readOnly) return;
  const writers = [...volume.bdev.exports].filter((each) => !each.readOnly);
  await face.exports.without(writers, async () => {
    const guard = face.qsd.name('node');
    const rules = failing(['write', 'write-zeroes', 'discard'], 1);
    await addNodes(face.qsd, [
      { driver: 'blkdebug', 'node-name': guard, image: volume.bdev.node, 'inject-error': rules },
    ]);
    volume.guard = guard;
    for (const each of writers) each.guard = guard;
    volume.bdev.readOnly = true;
    await keep(store, { ...store.record, blobs: replaced(store, { ...blob, readOnly: true }) });
  });
}

/** @throws RpcError `EBUSY` while a long job works on it */
export function idle(volume: Volume): void {
  if (volume.busy) throw errno('EBUSY');
}

async function copyDown(face: Face, store: LvolStore, volume: Volume, bottom: string | null): Promise<void> {
  const base = bottom === null ? undefined : store.volumes.get(bottom);
  await runJob(face.qsd, 'block-stream', {
    device: volume.image.format,
    'auto-dismiss': false,
    ...(base !== undefined && { 'base-node': base.image.format }),
  });
}

function fresh(name: string) {
  return { uuid: randomUUID(), name, parent: null, snapshot: false, readOnly: false };
}

function replaced(store: LvolStore, blob: Blob): readonly Blob[] {
  return store.record.blobs.map((each) => (each.uuid === blob.uuid ? blob : each));
}

function checkName(store: LvolStore, name: string, code: number): void {
  if (name === '') throw errno('EINVAL', code === -17 ? undefined : code);
  if (store.record.blobs.some((each) => each.name === name)) throw errno('EEXIST', code);
}

function whole(store: LvolStore, bytes: number): number {
  return Math.ceil(bytes / store.record.clusterSize) * store.record.clusterSize;
}
