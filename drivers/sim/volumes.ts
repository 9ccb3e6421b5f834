import { createHash } from 'node:crypto';
import { difference, requireSame } from '../../core/difference.ts';
import { DpuError } from '../../core/errors.ts';
import type { VolumeConnection } from '../../core/ports/storage-target.ts';
import type { Image, Volume, VolumeExport, VolumeService, VolumeSnapshot } from '../../core/ports/volume-service.ts';
import type { InstanceId, VolumeId } from '../../core/units.ts';
import type { Caller } from './call.ts';
import { inUse, type SimContext } from './context.ts';
import type { ExportRow } from './rows.ts';

/** Protocol of the connections that the simulated volume service gives. */
export const simProtocol = 'sim';

const driveBytes = 8 * 1024 * 1024;

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** Key of an export: a volume may be shown to several instances. */
export function exportKey(volume: VolumeId, instance: InstanceId): string {
  return `${volume}/${instance}`;
}

/** The volume service behind its port. */
export function simVolumes(context: SimContext, call: Caller): VolumeService {
  const { state } = context;
  const image = (nameOrId: string): Image => {
    for (const [name, { sizeBytes }] of context.options.images) {
      const id = imageId(name);
      if (name === nameOrId || id === nameOrId) return { id, name, minSizeBytes: sizeBytes };
    }
    throw new DpuError('not_found', `no image ${nameOrId}`);
  };
  const volume = (id: VolumeId): Volume => {
    const row = state.volumes.get(id);
    if (row === undefined) throw new DpuError('not_found', `no volume ${id}`);
    return row;
  };
  return {
    getImage: (nameOrId, signal) =>
      call({ method: 'getImage', key: nameOrId, signal, reads: true, effect: () => image(nameOrId) }),
    getVolume: (id, signal) =>
      call({ method: 'getVolume', key: id, signal, reads: true, effect: () => view(volume(id)) }),
    ensureVolumeFromImage: (spec, signal) =>
      call({
        method: 'ensureVolumeFromImage',
        key: spec.id,
        signal,
        effect: () => {
          const source = image(spec.image);
          const wanted: Volume & { readonly image: string } = {
            id: spec.id,
            sizeBytes: spec.sizeBytes,
            bootable: true,
            madeFor: { node: spec.node, instance: spec.instance },
            image: source.id,
          };
          const row = state.volumes.get(spec.id);
          if (row === undefined && spec.sizeBytes < source.minSizeBytes) {
            throw new DpuError('invalid', `image ${source.name} does not fit the volume`, { field: 'sizeBytes' });
          }
          if (row === undefined) state.volumes.set(spec.id, wanted);
          else requireSame(`volume ${spec.id}`, row, wanted);
          return view(wanted);
        },
      }),
    ensureDrive: (spec, signal) =>
      call({
        method: 'ensureDrive',
        key: spec.id,
        signal,
        effect: () => {
          const { id, label, files, node, instance } = spec;
          const wanted = { id, sizeBytes: driveBytes, bootable: false, madeFor: { node, instance } };
          const row = state.volumes.get(id);
          if (row !== undefined) requireSame(`volume ${id}`, row, wanted);
          state.volumes.set(id, { ...wanted, drive: digest([label, ...Object.entries(files).sort()]) } as Volume);
          return view(wanted);
        },
      }),
    deleteVolume: (id, signal) =>
      call({
        method: 'deleteVolume',
        key: id,
        signal,
        effect: () => {
          const row = state.volumes.get(id);
          if (row === undefined) return;
          if (row.madeFor === null) {
            context.violate('foreign-touched', id, 'a volume that another made');
            throw new DpuError('denied', `volume ${id} was not made for an instance`);
          }
          if (state.exports.rows().some((each) => each.volumeId === id)) {
            throw new DpuError('busy', `volume ${id} is exported`);
          }
          state.volumes.delete(id);
        },
      }),
    ensureSnapshot: (spec, signal) =>
      call({
        method: 'ensureSnapshot',
        key: spec.id,
        signal,
        effect: (): VolumeSnapshot => {
          const { sizeBytes } = volume(spec.volumeId);
          const row = state.snapshots.get(spec.id);
          if (row !== undefined) {
            requireSame(`snapshot ${spec.id}`, row, { volumeId: spec.volumeId });
            return row;
          }
          const made = { id: spec.id, volumeId: spec.volumeId, sizeBytes };
          state.snapshots.set(spec.id, made);
          return made;
        },
      }),
    deleteSnapshot: (id, signal) =>
      call({ method: 'deleteSnapshot', key: id, signal, effect: () => state.snapshots.delete(id) }),
    listSnapshots: (id, signal) =>
      call({
        method: 'listSnapshots',
        key: id,
        signal,
        reads: true,
        effect: () => state.snapshots.rows().filter((each) => each.volumeId === id),
      }),
    ensureVolumeFromSnapshot: (spec, signal) =>
      call({
        method: 'ensureVolumeFromSnapshot',
        key: spec.id,
        signal,
        effect: () => {
          const source = state.snapshots.get(spec.snapshot);
          if (source === undefined) throw new DpuError('not_found', `no snapshot ${spec.snapshot}`);
          const { id, sizeBytes, node, instance } = spec;
          const bootable = state.volumes.get(source.volumeId)?.bootable ?? false;
          const wanted = { id, sizeBytes, bootable, madeFor: { node, instance }, snapshot: source.id };
          const row = state.volumes.get(id);
          if (row === undefined && sizeBytes < source.sizeBytes) {
            throw new DpuError('invalid', `snapshot ${source.id} does not fit the volume`, { field: 'sizeBytes' });
          }
          if (row === undefined) state.volumes.set(id, wanted);
          else requireSame(`volume ${id}`, row, wanted);
          return view(wanted);
        },
      }),
    resizeVolume: (id, sizeBytes, signal) =>
      call({
        method: 'resizeVolume',
        key: id,
        signal,
        effect: () => {
          const row = volume(id);
          if (sizeBytes < row.sizeBytes) {
            throw new DpuError('invalid', 'a volume is never made smaller', { field: 'sizeBytes' });
          }
          if (sizeBytes > row.sizeBytes) state.volumes.set(id, { ...row, sizeBytes });
          return view({ ...row, sizeBytes });
        },
      }),
    connect: (spec, signal) =>
      call({
        method: 'connect',
        key: spec.volumeId,
        signal,
        effect: () => connect(context, volume(spec.volumeId), spec),
      }),
    disconnect: (id, instance, signal) =>
      call({
        method: 'disconnect',
        key: id,
        signal,
        effect: () => {
          const key = exportKey(id, instance);
          if (!state.exports.has(key)) return;
          for (const user of state.attachments.rows()) {
            if (user.volumeId !== id || user.mark?.instance !== instance) continue;
            if (inUse(context, state.functions.get(user.functionId))) {
              context.violate('disconnected-while-host-on', id, `function ${user.functionId} serves it`);
            }
          }
          state.exports.delete(key);
        },
      }),
    listMadeFor: (node, signal) =>
      call({
        method: 'listMadeFor',
        key: node,
        signal,
        reads: true,
        effect: () =>
          state.volumes
            .rows()
            .filter((each) => each.madeFor?.node === node)
            .map(view),
      }),
    listExports: (node, signal) =>
      call({
        method: 'listExports',
        key: node,
        signal,
        reads: true,
        effect: () =>
          state.exports
            .rows()
            .filter((each) => each.node === node)
            .map(({ password: _password, ...each }): VolumeExport => each),
      }),
  };
}

/** A volume without what only the service knows of it. */
function view({ id, sizeBytes, bootable, madeFor }: Volume): Volume {
  return { id, sizeBytes, bootable, madeFor };
}

function connect(context: SimContext, volume: Volume, spec: VolumeExport): VolumeConnection {
  const { state, random } = context;
  const key = exportKey(spec.volumeId, spec.instance);
  const row = state.exports.get(key);
  if (row !== undefined) {
    requireSame(`export of ${spec.volumeId}`, row, spec);
    return connection(volume, row);
  }
  const writer = state.exports.rows().find((each) => each.volumeId === spec.volumeId && !each.readOnly);
  if (writer !== undefined && !spec.readOnly) {
    throw new DpuError('conflict', `volume ${spec.volumeId} has another writer`, {
      details: difference(writer, { instance: spec.instance, node: spec.node }) ?? {},
    });
  }
  const made: ExportRow = { ...spec, password: random.uuid() };
  state.exports.set(key, made);
  return connection(volume, made);
}

function connection(volume: Volume, row: ExportRow): VolumeConnection {
  return {
    protocol: simProtocol,
    data: { volume_id: volume.id, size_bytes: volume.sizeBytes, auth_password: row.password },
  };
}

/** A uuid (RFC 9562 5.8) that follows from the image's name. */
function imageId(name: string): string {
  const hex = createHash('sha256').update(`image ${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
