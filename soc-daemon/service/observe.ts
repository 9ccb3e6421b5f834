import { toDpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Machines } from '../../core/ports/compute-driver.ts';
import type { Domain } from '../../core/ports/host-agent.ts';
import type { NetworkBinder, NetworkBinding } from '../../core/ports/network-binder.ts';
import type { NetworkPort, NetworkService } from '../../core/ports/network-service.ts';
import type { FunctionState, SnicController } from '../../core/ports/snic-controller.ts';
import type { StorageAttachment, StorageTarget } from '../../core/ports/storage-target.ts';
import type { Volume, VolumeExport, VolumeService } from '../../core/ports/volume-service.ts';
import type { InstanceId, NodeId } from '../../core/units.ts';
import type { CheckId } from './health.ts';
import type { NodeMonitor } from './node-monitor.ts';
import { patienceMs, within } from './within.ts';

/** The ports that hold what we make. */
export interface Peers {
  readonly snic: SnicController;
  readonly binder: NetworkBinder;
  readonly storage: StorageTarget;
  readonly volumes: VolumeService;
  readonly networks: NetworkService;
  /** Of a VM node. */
  readonly machines?: Machines | null;
}

/** What the peers have, at one moment. */
export interface Observation {
  readonly functions: readonly FunctionState[];
  readonly bindings: readonly NetworkBinding[];
  readonly attachments: readonly StorageAttachment[];
  readonly volumes: readonly Volume[];
  readonly exports: readonly VolumeExport[];
  readonly ports: readonly NetworkPort[];
  /** Empty on a node without machines. */
  readonly machines: readonly Domain[];
}

/** The checks that tell of a peer. */
type PeerCheck = Extract<CheckId, 'agent' | 'snic' | 'ovs' | 'storage' | 'volumes' | 'networks'>;

/** Asks every peer; answers null, with a reason set for each that is away, when one of them does not answer in time. */
export async function observe(
  peers: Peers,
  node: NodeId,
  clock: Clock,
  until: AbortSignal,
  { reason, note }: Pick<NodeMonitor, 'reason' | 'note'>,
): Promise<Observation | null> {
  async function ask<Answer>(
    check: PeerCheck,
    what: string,
    call: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer | null> {
    try {
      const answer = await within(clock, patienceMs.ask, call, until);
      if (check === 'snic' || check === 'agent') reason(`${check}-unreachable`, null);
      else note({ check, state: 'ok', found: 'answers' });
      return answer;
    } catch (error) {
      if (until.aborted) return null;
      reason(`${check}-unreachable`, `${what} does not answer: ${toDpuError(error, 'the call failed').message}`);
      return null;
    }
  }
  const [functions, bindings, attachments, madeFor, ports, machines] = await Promise.all([
    ask('snic', 'the snic-controller', (signal) => peers.snic.listFunctions(signal)),
    ask('ovs', 'Open vSwitch', (signal) => peers.binder.list(signal)),
    ask('storage', 'the storage target', (signal) => peers.storage.list(signal)),
    ask('volumes', 'the volume service', (signal) =>
      Promise.all([peers.volumes.listMadeFor(node, signal), peers.volumes.listExports(node, signal)]),
    ),
    ask('networks', 'the network service', (signal) => peers.networks.listPorts(node, signal)),
    peers.machines ? ask('agent', 'the agent on the host', (signal) => machinesOf(peers, signal)) : [],
  ]);
  if (!functions || !bindings || !attachments || !madeFor || !ports || !machines) return null;
  return { functions, bindings, attachments, volumes: madeFor[0], exports: madeFor[1], ports, machines };
}

async function machinesOf(peers: Peers, signal: AbortSignal): Promise<readonly Domain[]> {
  return (await peers.machines?.list(signal)) ?? [];
}

/** What of an observation belongs to one instance of the node. */
export function ofInstance(seen: Observation, node: NodeId, instance: InstanceId): Observation {
  const marked = (each: { readonly mark: FunctionState['mark'] }): boolean =>
    each.mark?.node === node && each.mark.instance === instance;
  return {
    functions: seen.functions.filter(marked),
    bindings: seen.bindings.filter(marked),
    attachments: seen.attachments.filter(marked),
    volumes: seen.volumes.filter((each) => each.madeFor?.node === node && each.madeFor.instance === instance),
    exports: seen.exports.filter((each) => each.node === node && each.instance === instance),
    ports: seen.ports.filter((each) => each.instance === instance),
    machines: seen.machines.filter((each) => each.instance === instance),
  };
}

/** Every instance that something of an observation is marked with. */
export function markedInstances(seen: Observation, node: NodeId): ReadonlySet<InstanceId> {
  const marked = [...seen.functions, ...seen.bindings, ...seen.attachments].flatMap((each) =>
    each.mark?.node === node ? each.mark.instance : [],
  );
  const volumes = seen.volumes.flatMap((each) => (each.madeFor?.node === node ? each.madeFor.instance : []));
  const exports = seen.exports.flatMap((each) => (each.node === node ? each.instance : []));
  const ports = seen.ports.flatMap((each) => each.instance ?? []);
  const machines = seen.machines.map((each) => each.instance);
  return new Set([...marked, ...volumes, ...exports, ...ports, ...machines]);
}
