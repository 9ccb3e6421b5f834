import type { BindSpec } from '../../core/ports/network-binder.ts';
import type { FunctionId, PortId } from '../../core/units.ts';
import type { SimTiming } from '../../drivers/sim/options.ts';
import { createSimWorld, type SimPorts, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore, type WorldStore } from '../../drivers/sim/world-store.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type VirtualClock, virtualClock } from '../support/virtual-clock.ts';
import { diskSpec, instance, macOf, markOf, nicSpec, node, portId, volumeId } from './samples.ts';

/** A simulated node with a clock that the test drives. */
export interface SimNode {
  readonly world: SimWorld;
  readonly clock: VirtualClock;
  readonly nic: FunctionId;
  readonly disk: FunctionId;
  /** Drives the clock until the call is answered. */
  run<Result>(call: Promise<Result>): Promise<Result>;
  bind(port?: PortId, ports?: SimPorts): Promise<void>;
  attach(ports?: SimPorts): Promise<void>;
  plug(): Promise<void>;
  /** Functions made, bound, attached and plugged, in order; host off. */
  prepare(): Promise<void>;
}

/** An empty node: latency 5 ms, 20 ms to enumerate, 100 ms to shut down. */
export function simNode({ store = memoryWorldStore(), timing = {}, hypervisor = false }: SimNodeOptions = {}): SimNode {
  const clock = virtualClock();
  const world = createSimWorld({
    clock,
    random: seededRandom('node'),
    store,
    options: { latency_ms: 5, functions: 8, volumes: { [volumeId]: { size_bytes: 2 ** 30, bootable: true } } },
    timing: { shutdownMs: 100, ...timing },
    hypervisor,
  });
  const run = <Result>(call: Promise<Result>): Promise<Result> => clock.drive(call);
  const nic = nicSpec().id;
  const disk = diskSpec().id;
  const bind = async (port = portId, ports: SimPorts = world): Promise<void> => {
    const { representor } = await run(ports.snic.ensureFunction(nicSpec(port)));
    const spec: BindSpec = {
      portId: port,
      functionId: nicSpec(port).id,
      representor: representor ?? '',
      mac: macOf(port),
      mark: markOf('nic', port),
    };
    await run(ports.network.bind(spec));
  };
  const attach = async (ports: SimPorts = world): Promise<void> => {
    await run(ports.snic.ensureFunction(diskSpec()));
    const connection = await run(ports.volumes.connect({ volumeId, node, instance, readOnly: false }));
    const mark = markOf('boot', volumeId);
    await run(ports.storage.attach({ functionId: disk, volumeId, connection, readOnly: false, mark }));
  };
  const plug = async (): Promise<void> => {
    await run(world.snic.plugFunction(nic));
    await run(world.snic.plugFunction(disk));
  };
  const prepare = async (): Promise<void> => {
    await bind();
    await attach();
    await plug();
  };
  return { world, clock, nic, disk, run, bind, attach, plug, prepare };
}

interface SimNodeOptions {
  readonly store?: WorldStore;
  readonly timing?: Partial<SimTiming>;
  readonly hypervisor?: boolean;
}
