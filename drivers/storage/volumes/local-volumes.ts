import { requireSame } from '../../../core/difference.ts';
import { DpuError, hasCode } from '../../../core/errors.ts';
import type { Wipe } from '../../../core/operation/inputs.ts';
import { createKeyedLock } from '../../../core/operation/keyed-lock.ts';
import type { Volume, VolumeExport, VolumeService, VolumeSnapshot } from '../../../core/ports/volume-service.ts';
import type { VolumeId } from '../../../core/units.ts';
import type { Backing } from './backing.ts';
import { type DriveFiles, driveBytes } from './drive-files.ts';
import type { Images } from './images.ts';
import { checkId, type Records, type SnapshotRecord, type VolumeRecord } from './records.ts';

/** What the local volume service is made of. */
export interface LocalVolumeOptions {
  readonly images: Images;
  readonly records: Records;
  readonly backing: Backing;
  /** Id -> bytes of volumes that belong to no instance; made empty when they are first asked for. */
  readonly declared?: ReadonlyMap<string, number>;
  /** Where drives lie. */
  readonly drives: DriveFiles;
  /** What becomes of the data of volumes that go. Default `none`. */
  readonly wipe?: Wipe;
}

/** The embedded volume service: for nodes without Cinder. */
export interface LocalVolumes extends VolumeService {
  /** Makes a volume that belongs to no instance, empty. The same id with another size is `conflict` unless it was grown. */
  ensureVolume(spec: { readonly id: VolumeId; readonly sizeBytes: number }, signal?: AbortSignal): Promise<Volume>;
}

/**
 * Volumes and images on this machine. A volume's record comes before its data, marked as not ready, and goes after it: whatever is cut short is
 * finished by the next call with the same id, and never seen by others.
 */
export function createLocalVolumes({
  images,
  records,
  backing,
  declared = new Map(),
  drives,
  wipe: usualWipe = 'none',
}: LocalVolumeOptions): LocalVolumes {
  const locks = createKeyedLock();
  const never = new AbortController().signal;

  async function locked<Result>(
    key: string,
    signal: AbortSignal | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const leave = await locks.acquire(key, signal ?? never);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  /** The record of a volume that is whole; call it with the volume's lock held. */
  async function ready(id: VolumeId): Promise<VolumeRecord> {
    checkId(id);
    let record = await records.volume(id);
    const sizeBytes = declared.get(id);
    if (!record?.ready && sizeBytes !== undefined) {
      await ensure({ id, sizeBytes, bootable: false, madeFor: null, source: null }, () => backing.blank(id, sizeBytes));
      record = await records.volume(id);
    }
    if (!record?.ready) throw new DpuError('not_found', `no volume ${id}`);
    return record;
  }

  /** Makes a volume, or answers the one that is there. */
  async function ensure(
    wanted: Omit<VolumeRecord, 'kind' | 'exports' | 'ready'>,
    fill: () => Promise<void>,
  ): Promise<Volume> {
    const record = await records.volume(wanted.id);
    if (record?.ready) {
      requireSame(`volume ${wanted.id}`, record, wanted);
      return view(record);
    }
    // a first attempt with another specification has left nothing that counts
    if (record) await backing.remove(wanted.id, usualWipe);
    const made: VolumeRecord = { ...wanted, kind: 'volume', exports: [], ready: true };
    await records.put({ ...made, ready: false });
    try {
      await fill();
    } catch (error) {
      await backing.remove(wanted.id, 'none');
      await records.delete(made);
      throw error;
    }
    await records.put(made);
    return view(made);
  }

  return {
    async getImage(nameOrId, signal) {
      signal?.throwIfAborted();
      const { id, name, minSizeBytes } = await images.find(nameOrId);
      return { id, name, minSizeBytes };
    },
    getVolume: (id, signal) => locked(id, signal, async () => view(await ready(id))),
    ensureVolumeFromImage: (spec, signal) =>
      locked(spec.id, signal, async () => {
        checkId(spec.id);
        const { id, sizeBytes, node, instance } = spec;
        const before = await records.volume(id);
        const image = await images.find(spec.image).catch((error: unknown) => {
          if (before?.ready && hasCode(error, 'not_found')) return undefined; // the volume outlives its image
          throw error;
        });
        const source = image?.id ?? before?.source ?? null;
        return ensure({ id, sizeBytes, bootable: true, madeFor: { node, instance }, source }, async () => {
          if (!image) throw new DpuError('not_found', `no image ${spec.image}`);
          requireRoom(`image ${image.name}`, image.minSizeBytes, sizeBytes);
          await images.verify(image, signal);
          await backing.fromImage(id, image, sizeBytes, signal);
        });
      }),
    ensureVolumeFromSnapshot: (spec, signal) =>
      locked(spec.id, signal, async () => {
        checkId(spec.id);
        checkId(spec.snapshot);
        const snapshot = await records.snapshot(spec.snapshot);
        if (!snapshot?.ready) throw new DpuError('not_found', `no snapshot ${spec.snapshot}`);
        const { id, sizeBytes, node, instance } = spec;
        const { bootable } = snapshot;
        return ensure({ id, sizeBytes, bootable, madeFor: { node, instance }, source: snapshot.id }, async () => {
          requireRoom(`snapshot ${snapshot.id}`, snapshot.sizeBytes, sizeBytes);
          await backing.fromSnapshot(id, snapshot.id, sizeBytes, signal);
        });
      }),
    ensureVolume: ({ id, sizeBytes }, signal) =>
      locked(id, signal, async () => {
        checkId(id);
        const record = await records.volume(id);
        if (record?.ready && record.madeFor === null && record.sizeBytes >= sizeBytes) return view(record);
        const wanted = { id, sizeBytes, bootable: false, madeFor: null, source: null };
        return ensure(wanted, () => backing.blank(id, sizeBytes, signal));
      }),
    ensureDrive: (spec, signal) =>
      locked(spec.id, signal, async () => {
        const { id, node, instance } = spec;
        checkId(id);
        const wanted = { id, sizeBytes: driveBytes, bootable: false, madeFor: { node, instance }, source: null };
        const before = await records.volume(id);
        if (before) requireSame(`volume ${id}`, before, { ...wanted, drive: true });
        const made: VolumeRecord = { exports: [], ...before, ...wanted, kind: 'volume', ready: true, drive: true };
        if (!before) await records.put({ ...made, ready: false });
        await drives.write(spec, signal);
        await records.put(made);
        return view(made);
      }),
    deleteVolume: (id, signal, wipe = usualWipe) =>
      locked(id, signal, async () => {
        checkId(id);
        const record = await records.volume(id);
        if (!record) return;
        if (record.madeFor === null) throw new DpuError('denied', `volume ${id} was not made for an instance`);
        if (record.exports.length > 0) throw new DpuError('busy', `volume ${id} is exported`);
        await records.put({ ...record, ready: false });
        await (record.drive ? drives.remove(id) : backing.remove(id, wipe, signal));
        await records.delete(record);
      }),
    connect: (spec, signal) =>
      locked(spec.volumeId, signal, async () => {
        const record = await ready(spec.volumeId);
        const own = record.exports.find((each) => each.instance === spec.instance);
        if (own) requireSame(`export of ${record.id}`, own, spec);
        else {
          refuseSecondWriter(record, spec);
          const { volumeId, node, instance, readOnly } = spec;
          await records.put({ ...record, exports: [...record.exports, { volumeId, node, instance, readOnly }] });
        }
        return record.drive ? drives.connection(record.id) : backing.connection(record.id, record.sizeBytes);
      }),
    disconnect: (id, instance, signal) =>
      locked(id, signal, async () => {
        checkId(id);
        const record = await records.volume(id);
        if (!record?.exports.some((each) => each.instance === instance)) return;
        await records.put({ ...record, exports: record.exports.filter((each) => each.instance !== instance) });
      }),
    async listMadeFor(node, signal) {
      signal?.throwIfAborted();
      return (await records.volumes()).filter((each) => each.ready && each.madeFor?.node === node).map(view);
    },
    async listExports(node, signal) {
      signal?.throwIfAborted();
      return (await records.volumes()).flatMap((each) => each.exports).filter((each) => each.node === node);
    },
    ensureSnapshot: ({ id, volumeId }, signal) =>
      locked(volumeId, signal, () =>
        locked(`snapshot ${id}`, signal, async () => {
          checkId(id);
          const { sizeBytes, bootable, exports } = await ready(volumeId);
          const record = await records.snapshot(id);
          if (record) requireSame(`snapshot ${id}`, record, { volumeId });
          if (record?.ready) return snapshotView(record);
          const made: SnapshotRecord = { kind: 'snapshot', id, volumeId, sizeBytes, bootable, ready: true };
          await records.put({ ...made, ready: false });
          try {
            await backing.snapshot(
              volumeId,
              id,
              exports.some((each) => !each.readOnly),
              signal,
            );
          } catch (error) {
            await backing.removeSnapshot(id);
            await records.delete(made);
            throw error;
          }
          await records.put(made);
          return snapshotView(made);
        }),
      ),
    deleteSnapshot: (id, signal) =>
      locked(`snapshot ${id}`, signal, async () => {
        checkId(id);
        const record = await records.snapshot(id);
        if (!record) return;
        await backing.removeSnapshot(id, signal);
        await records.delete(record);
      }),
    async listSnapshots(volumeId, signal) {
      signal?.throwIfAborted();
      return (await records.snapshots()).filter((each) => each.ready && each.volumeId === volumeId).map(snapshotView);
    },
    resizeVolume: (id, sizeBytes, signal) =>
      locked(id, signal, async () => {
        const record = await ready(id);
        if (sizeBytes < record.sizeBytes) {
          throw new DpuError('invalid', 'a volume is never made smaller', { field: 'sizeBytes' });
        }
        await backing.grow(id, sizeBytes, signal);
        const grown = { ...record, sizeBytes };
        if (sizeBytes > record.sizeBytes) await records.put(grown);
        return view(grown);
      }),
  };
}

function view({ id, sizeBytes, bootable, madeFor }: VolumeRecord): Volume {
  return { id, sizeBytes, bootable, madeFor };
}

function snapshotView({ id, volumeId, sizeBytes }: SnapshotRecord): VolumeSnapshot {
  return { id, volumeId, sizeBytes };
}

function requireRoom(what: string, needed: number, sizeBytes: number): void {
  if (sizeBytes < needed) throw new DpuError('invalid', `${what} does not fit the volume`, { field: 'sizeBytes' });
}

function refuseSecondWriter({ id, exports }: VolumeRecord, spec: VolumeExport): void {
  const writer = exports.find((each) => !each.readOnly);
  if (!writer || spec.readOnly) return;
  throw new DpuError('conflict', `volume ${id} has another writer`, {
    details: { instance: [writer.instance, spec.instance] },
  });
}
