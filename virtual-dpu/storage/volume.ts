import { randomUUID } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bdev } from './bdevs.ts';
import type { Face } from './face.ts';
import type { Blob, LvolStore } from './lvol-store.ts';
import { addThrottle, type Throttled } from './qos.ts';
import { addNodes, removeNodes, runJob } from './qsd.ts';

/** A volume whose bdev is there. */
export interface Volume {
  readonly bdev: Bdev;
  readonly filters: Throttled;
  /** Its image now: a snapshot takes the old one and leaves a new one. */
  image: Image;
  /** The node that fails writes, once the volume became read-only while it was open. */
  guard: string | null;
  /** A long job works on it. */
  busy: boolean;
}

/** An open qcow2 file. */
export interface Image {
  readonly format: string;
  readonly file: string;
}

/** Opens a volume's image on that of its parent, and adds its bdev. */
export async function openVolume(face: Face, store: LvolStore, blob: Blob): Promise<Volume> {
  const parent = blob.parent === null ? undefined : store.volumes.get(blob.parent);
  const image = await openImage(face, join(store.dir, blob.file), {
    backing: parent?.image.format ?? null,
    readOnly: blob.snapshot,
  });
  return await addVolume(face, store, blob, image);
}

/** Adds the bdev of an image that is open. */
export async function addVolume(face: Face, store: LvolStore, blob: Blob, image: Image): Promise<Volume> {
  const filters = await addThrottle(face.qsd, image.format);
  const bdev = await face.bdevs.add({
    name: blob.uuid,
    uuid: blob.uuid,
    aliases: [`${store.record.name}/${blob.name}`],
    module: 'lvol',
    productName: 'Logical Volume',
    blockSize: store.base.blockSize,
    sizeBytes: blob.sizeBytes,
    readOnly: blob.snapshot || blob.readOnly,
    ioTypes: ['read', 'write', 'unmap', 'write_zeroes', 'reset'],
    node: filters.node,
    throttle: filters.throttle,
    writeThrough: true,
    driverSpecific: () => ({ lvol: describeLvol(store, blob.uuid) }),
    config: null,
    destroy: async () => {
      const volume = store.volumes.get(blob.uuid);
      if (typeof volume?.guard === 'string') await removeNodes(face.qsd, [volume.guard]);
      await filters.remove();
      await closeImage(face, volume?.image ?? image);
      store.volumes.delete(blob.uuid);
    },
  });
  const volume: Volume = { bdev, filters, image, guard: null, busy: false };
  store.volumes.set(blob.uuid, volume);
  return volume;
}

/** Takes a volume's bdev and image away; its file stays. */
export async function closeVolume(face: Face, store: LvolStore, uuid: string): Promise<void> {
  const volume = store.volumes.get(uuid);
  if (volume !== undefined) await face.bdevs.remove(volume.bdev);
}

/** Makes an image file. `backing` is the name of the file that it lies on, in the same directory. */
export async function makeImage(
  face: Face,
  dir: string,
  sizeBytes: number,
  backing: string | null,
): Promise<{ readonly file: string; readonly emptyBytes: number }> {
  const file = `${randomUUID()}.qcow2`;
  const filename = join(dir, file);
  await runJob(face.qsd, 'blockdev-create', { options: { driver: 'file', filename, size: 0 } });
  const node = face.qsd.name('node');
  await addNodes(face.qsd, [fileNode(node, filename, false)]);
  try {
    await runJob(face.qsd, 'blockdev-create', {
      options: {
        driver: 'qcow2',
        file: node,
        size: sizeBytes,
        ...(backing !== null && { 'backing-file': backing, 'backing-fmt': 'qcow2' }),
      },
    });
  } catch (error) {
    await rm(filename, { force: true });
    throw error;
  } finally {
    await removeNodes(face.qsd, [node]);
  }
  return { file, emptyBytes: (await stat(filename)).blocks * 512 };
}

/** Opens an image file on a node, or on none. */
export async function openImage(
  face: Face,
  filename: string,
  options: { readonly backing: string | null; readonly readOnly: boolean },
): Promise<Image> {
  const image = { format: face.qsd.name('node'), file: face.qsd.name('node') };
  await addNodes(face.qsd, [
    fileNode(image.file, filename, options.readOnly),
    {
      driver: 'qcow2',
      'node-name': image.format,
      file: image.file,
      backing: options.backing,
      'read-only': options.readOnly,
      discard: 'unmap',
    },
  ]);
  return image;
}

/** Closes an image that nothing uses. */
export async function closeImage(face: Face, image: Image): Promise<void> {
  await removeNodes(face.qsd, [image.format, image.file]);
}

/** A volume as `bdev_get_bdevs` shows it. */
function describeLvol(store: LvolStore, uuid: string): object {
  const { blobs } = store.record;
  const blob = blobs.find((each) => each.uuid === uuid);
  const base = blobs.find((each) => each.uuid === blob?.parent);
  const clones = blobs.filter((each) => each.parent === uuid).map((each) => each.name);
  return {
    lvol_store_uuid: store.record.uuid,
    base_bdev: store.base.name,
    thin_provision: blob?.thin ?? false,
    snapshot: blob?.snapshot ?? false,
    clone: base !== undefined,
    ...(base !== undefined && { base_snapshot: base.name }),
    ...(clones.length > 0 && { clones }),
    esnap_clone: false,
  };
}

/**
 * Flushing stops at the page cache, so that writing an image's metadata through at each write stays quick: a killed storage daemon loses
 * nothing, a machine that loses power may.
 */
function fileNode(name: string, filename: string, readOnly: boolean) {
  return {
    driver: 'file',
    'node-name': name,
    filename,
    'read-only': readOnly,
    discard: 'unmap',
    cache: { 'no-flush': true },
  } as const;
}
