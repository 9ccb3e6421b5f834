import { requireSame } from '../../core/difference.ts';
import { DpuError } from '../../core/errors.ts';
import type { AttachSpec, StorageAttachment, StorageTarget } from '../../core/ports/storage-target.ts';
import type { FunctionId } from '../../core/units.ts';
import type { Caller } from './call.ts';
import { inUse, lostAttachment, lostKey, type SimContext } from './context.ts';
import type { AttachmentRow } from './rows.ts';
import { simProtocol } from './volumes.ts';

const unknownSizeBytes = 1_073_741_824;

/** The storage target behind its port: block devices, each served to a function. */
export function simStorage(context: SimContext, call: Caller): StorageTarget {
  const { state } = context;
  return {
    attach: (spec, signal) =>
      call({
        method: 'attach',
        key: spec.functionId,
        signal,
        effect: (): StorageAttachment => {
          const row = state.attachments.get(spec.functionId);
          if (row === undefined) return view(attach(context, spec));
          requireSame(`attachment of ${spec.functionId}`, row, {
            volumeId: spec.volumeId,
            readOnly: spec.readOnly,
            mark: spec.mark,
          });
          return view(row);
        },
      }),
    detach: (functionId, signal) =>
      call({
        method: 'detach',
        key: functionId,
        signal,
        effect: () => {
          const row = state.attachments.get(functionId);
          state.lost.delete(lostKey('attachment', functionId));
          if (row === undefined) return;
          if (row.mark === null) {
            context.violate('foreign-touched', functionId, 'an attachment that another made');
            throw new DpuError('denied', `attachment of ${functionId} is not ours`);
          }
          if (inUse(context, state.functions.get(functionId))) {
            context.violate('detached-while-host-on', functionId, `volume ${row.volumeId} is in use`);
          }
          state.attachments.delete(functionId);
        },
      }),
    setQos: (functionId, qos, signal) =>
      call({
        method: 'setQos',
        key: functionId,
        signal,
        effect: () => {
          const row = own(context, functionId);
          state.attachments.set(functionId, { ...row, qos: { ...row.qos, ...qos } });
        },
      }),
    resized: (functionId, sizeBytes, signal) =>
      call({
        method: 'resized',
        key: functionId,
        signal,
        effect: (): StorageAttachment => {
          const row = own(context, functionId);
          // a volume of another service may have any size, but never a smaller one
          const size = state.volumes.get(row.volumeId)?.sizeBytes ?? Math.max(row.sizeBytes, sizeBytes);
          if (size !== sizeBytes) {
            throw new DpuError('bad_state', `volume ${row.volumeId} does not have that size`, {
              details: { sizeBytes: [size, sizeBytes] },
            });
          }
          const grown = { ...row, sizeBytes };
          state.attachments.set(functionId, grown);
          return view(grown);
        },
      }),
    list: (signal) =>
      call({ method: 'list', key: '', signal, reads: true, effect: () => state.attachments.rows().map(view) }),
  };
}

function view({ protocol: _protocol, shared: _shared, qos: _qos, ...attachment }: AttachmentRow): StorageAttachment {
  return attachment;
}

/** The attachment of a function, which must be ours. */
function own({ state }: SimContext, functionId: FunctionId): AttachmentRow {
  const row = state.attachments.get(functionId);
  if (row === undefined) throw new DpuError('not_found', `nothing is attached to ${functionId}`);
  if (row.mark === null) throw new DpuError('denied', `attachment of ${functionId} is not ours`);
  return row;
}

function attach(context: SimContext, spec: AttachSpec): AttachmentRow {
  const { state } = context;
  const served = state.functions.get(spec.functionId);
  if (served === undefined || served.class === 'virtio-net') {
    throw new DpuError('not_found', `no storage function ${spec.functionId}`);
  }
  if (spec.connection.protocol === simProtocol && !isExported(context, spec)) {
    throw new DpuError('unavailable', `volume ${spec.volumeId} can't be reached: it is not exported`);
  }
  const writer = state.attachments
    .rows()
    .find((each) => each.volumeId === spec.volumeId && !each.readOnly && !(each.shared && spec.shared));
  if (writer !== undefined && !spec.readOnly) {
    throw new DpuError('conflict', `volume ${spec.volumeId} has another writer`, {
      details: { functionId: [writer.functionId, spec.functionId] },
    });
  }
  const size = spec.connection.data.size_bytes;
  const row: AttachmentRow = {
    functionId: spec.functionId,
    volumeId: spec.volumeId,
    bdev: `bdev-${spec.functionId}`,
    sizeBytes: state.volumes.get(spec.volumeId)?.sizeBytes ?? (typeof size === 'number' ? size : unknownSizeBytes),
    readOnly: spec.readOnly,
    mark: spec.mark,
    protocol: spec.connection.protocol,
    ...(spec.shared ? { shared: true } : {}),
    ...(spec.qos ? { qos: spec.qos } : {}),
  };
  const lost = lostAttachment(state, spec.functionId);
  const remakes = lost?.volumeId === row.volumeId && lost.readOnly === row.readOnly;
  if (inUse(context, served) && !remakes) {
    context.violate('attached-while-host-on', spec.functionId, `the host can see it; volume ${spec.volumeId}`);
  }
  state.attachments.set(spec.functionId, row);
  state.lost.delete(lostKey('attachment', spec.functionId));
  return row;
}

function isExported({ state }: SimContext, spec: AttachSpec): boolean {
  return state.exports.rows().some((each) => each.volumeId === spec.volumeId && each.instance === spec.mark.instance);
}
