import { DpuError } from '../../core/errors.ts';
import { diskMark, nicMark } from '../../core/marks.ts';
import type { Machines } from '../../core/ports/compute-driver.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { VolumeConnection } from '../../core/ports/storage-target.ts';
import type { BindingRecord, FunctionRecord, InstanceRecord } from '../../core/records.ts';
import { asId, type InstanceId, type NodeId, type PortId, type VolumeId } from '../../core/units.ts';
import type { Mending } from './drift.ts';
import type { Peers } from './observe.ts';

/** What mending works with. */
export interface MendParts {
  readonly store: NodeStore;
  readonly peers: Peers;
  readonly node: NodeId;
  /** How long a running host has to release a device, in milliseconds. */
  readonly unplugDeadlineMs: number;
}

const noLimit = { bitsPerSecond: 0, packetsPerSecond: 0, direction: 'both' } as const;

/** Does one piece of work; each may be done again. @throws DpuError as the ports do. */
export async function mend(parts: MendParts, instance: InstanceId, work: Mending, signal: AbortSignal): Promise<void> {
  const { store, peers } = parts;
  switch (work.do) {
    case 'record':
      return store.change(work.changes);
    case 'make':
      return make(parts, recordOf(store, instance), work.row, work.binding, signal);
    case 'bind':
      return bind(parts, recordOf(store, instance), work, signal);
    case 'limit':
      return peers.binder.setQos(asId<PortId>(work.binding.key), work.binding.qos ?? noLimit, signal);
    case 'plug': {
      const { bdf, bdfState } = await peers.snic.plugFunction(work.row.id, signal);
      return store.change([{ type: 'function-patch', id: work.row.id, patch: { bdf, bdfState } }]);
    }
    case 'define':
      return machinesOf(peers).define(work.machine, signal);
    case 'pass':
      return machinesOf(peers).pass(instance, work.id, signal);
    case 'take':
      return machinesOf(peers).take(instance, work.id, signal);
    case 'remove-machine':
      return machinesOf(peers).remove(instance, signal);
    case 'remove-function':
      await peers.snic.unplugFunction(work.id, { deadlineMs: parts.unplugDeadlineMs }, signal);
      if (work.kind === 'port') return peers.binder.unbind(asId<PortId>(work.key), signal);
      await peers.storage.detach(work.id, signal);
      return peers.volumes.disconnect(asId<VolumeId>(work.key), instance, signal);
    case 'unbind':
      return peers.binder.unbind(work.port, signal);
    case 'detach':
      return peers.storage.detach(work.id, signal);
    case 'disconnect':
      return peers.volumes.disconnect(work.volume, instance, signal);
    case 'delete-volume':
      return peers.volumes.deleteVolume(work.volume, signal);
    case 'release-function':
      return peers.snic.releaseFunction(work.id, signal);
    case 'release-port':
      return peers.networks.releasePort(work.port, instance, signal);
  }
}

function machinesOf({ machines }: Peers): Machines {
  if (!machines) throw new DpuError('internal', 'the node has no machines');
  return machines;
}

function recordOf(store: NodeStore, instance: InstanceId): InstanceRecord {
  const record = store.getInstance(instance);
  if (!record) throw new DpuError('not_found', 'instance does not exist');
  return record;
}

function markOf(parts: MendParts, record: InstanceRecord, binding: BindingRecord): OwnershipMark {
  const of = { instance: record.id, name: record.name, flavor: record.flavor };
  if (binding.kind === 'volume') {
    const { boot, madeForInstance, key } = binding;
    return diskMark(parts.node, of, { boot, madeForInstance, volumeId: asId<VolumeId>(key) });
  }
  const { key, ips, madeForInstance } = binding;
  const port = parts.store.ports().find((each) => each.portId === key);
  const subnet = madeForInstance ? (port?.subnet ?? null) : null;
  return nicMark(parts.node, of, { portId: asId<PortId>(key) }, { subnet, ips, madeForInstance });
}

async function make(
  parts: MendParts,
  record: InstanceRecord,
  row: FunctionRecord,
  binding: BindingRecord,
  signal: AbortSignal,
): Promise<void> {
  const made = await parts.peers.snic.ensureFunction(
    {
      id: row.id,
      type: row.type,
      class: row.class,
      mac: row.mac,
      features: [],
      mark: markOf(parts, record, binding),
    },
    signal,
  );
  const { bdf, bdfState, representor, vuid } = made;
  await parts.store.change([{ type: 'function-patch', id: row.id, patch: { bdf, bdfState, representor, vuid } }]);
}

async function bind(
  parts: MendParts,
  record: InstanceRecord,
  work: Extract<Mending, { do: 'bind' }>,
  signal: AbortSignal,
): Promise<void> {
  const { peers, store } = parts;
  const { row, binding } = work;
  const mark = work.mark ?? markOf(parts, record, binding);
  if (binding.kind === 'port') {
    const now = store.functions(record.id).find((each) => each.id === row.id) ?? row;
    if (now.representor === null || now.mac === null) {
      throw new DpuError('hardware', 'the card gave the function no representor');
    }
    const { representor, mac } = now;
    const portId = asId<PortId>(binding.key);
    await peers.binder.bind({ portId, functionId: row.id, representor, mac, mark }, signal, { traffic: false });
    return;
  }
  const volumeId = asId<VolumeId>(binding.key);
  const { readOnly } = binding;
  const connection: VolumeConnection =
    binding.connectionSecret === null
      ? await peers.volumes.connect({ volumeId, node: parts.node, instance: record.id, readOnly }, signal)
      : (JSON.parse(await store.readSecret(binding.connectionSecret)) as VolumeConnection);
  const { bdev, sizeBytes } = await peers.storage.attach(
    { functionId: row.id, volumeId, connection, readOnly, mark },
    signal,
  );
  await store.change([{ type: 'binding-patch', functionId: row.id, patch: { bdev, sizeBytes } }]);
}
