import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import type { JournalEntry } from '../../core/operation/journal.ts';
import { asId, type FunctionId, type InstanceId, type NodeId, type PortId, type VolumeId } from '../../core/units.ts';
import { sqliteWorldStore } from '../../drivers/sim/sqlite-world-store.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import type { StoreCommand } from '../../soc-daemon/store/commands.ts';
import { builtVolume, effectsOf, laterVolume, type Scenario } from './crash-scenario.ts';
import { seededRandom } from './seeded-random.ts';
import { type SimNode, startSimNode } from './sim-node.ts';
import { type VirtualClock, virtualClock } from './virtual-clock.ts';

/** Steps whose failure is ordered; `undo:` before a name: its undo. */
export type Failing = readonly string[];

/** How a life is lived. */
export interface LifeOptions {
  /** Holds `world.db`, `effects.log` and `state/`. */
  readonly dir: string;
  readonly seed: string;
  readonly scenario?: Scenario;
  readonly failing?: Failing;
  /** Tells of the moments of its start too. */
  readonly armed?: boolean;
  /** Told of every moment that a kill can come at, once `arm` was called. */
  readonly onMoment?: (label: string) => void;
}

/** One life of a daemon on a world in a file, on a clock of its own. */
export interface Life {
  readonly clock: VirtualClock;
  readonly world: SimWorld;
  readonly node: SimNode;
  /** Moments are told from now on. */
  arm(): void;
  drive<Result>(promise: Promise<Result>): Promise<Result>;
  /** Until no operation runs or waits. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

const limitMs = 24 * 3_600_000;

/** Begins a life: everything that ran in the last one goes on by itself. */
export async function startLife(options: LifeOptions): Promise<Life> {
  const { dir, scenario, failing = [] } = options;
  const clock = virtualClock();
  const world = createSimWorld({
    clock,
    random: seededRandom(`${options.seed}/world`),
    store: sqliteWorldStore(join(dir, 'world.db')),
    options: {
      functions: 16,
      volumes: {
        [builtVolume]: { size_bytes: 2 ** 30, bootable: false },
        [laterVolume]: { size_bytes: 2 ** 30, bootable: false },
      },
    },
  });
  let armed = options.armed ?? false;
  const moment = (label: string): void => {
    if (armed) options.onMoment?.(label);
  };
  world.hooks.beforeEffect = (port, method, key) => moment(`before effect ${port}.${method} ${key}`);
  world.hooks.afterEffect = (port, method, key) => {
    appendFileSync(join(dir, 'effects.log'), `${port}.${method} ${key}\n`);
    moment(`after effect ${port}.${method} ${key}`);
  };
  for (const order of scenario?.faults ?? []) world.faults.order(order);
  const refuse = failuresOn(world, failing);
  const node = await clock.drive(
    startSimNode({
      world,
      dir: join(dir, 'state'),
      clock,
      random: seededRandom(options.seed),
      hostname: 'crash-node',
      store: {
        hooks: {
          beforeWrite: (command) => {
            moment(`before write ${describe(command)}`);
            refuse(command);
          },
          afterWrite: (command) => moment(`after write ${describe(command)}`),
        },
      },
    }),
    limitMs,
  );
  return {
    clock,
    world,
    node,
    arm: () => {
      armed = true;
    },
    drive: (promise) => clock.drive(promise, limitMs),
    idle: () =>
      clock.runUntil(() => {
        const { running, waiting } = node.daemon.counts();
        return running + waiting === 0;
      }, limitMs),
    async close() {
      armed = false;
      await clock.drive(node.stop(), limitMs);
      world.close();
    },
  };
}

/** Orders the failures of a step as it begins, and takes them back as it ends. Answers what looks at every write. */
function failuresOn(world: SimWorld, failing: Failing): (command: StoreCommand) => void {
  const standing = new Map<string, readonly (() => void)[]>();
  let refused = '';
  return (command) => {
    if (command.type === 'allocate-port' && refused === `nic:port:${command.request.portId}`) throw asOrdered();
    if (command.type === 'release-port' && refused.endsWith(`:${command.port}`)) throw asOrdered();
    if (command.type !== 'write') return;
    for (const entry of command.entries) {
      if (entry.type !== 'step') continue;
      const undoing = entry.phase === 'undoing';
      for (const takeBack of standing.get(entry.step) ?? []) takeBack();
      standing.delete(entry.step);
      if (refused === entry.step) refused = '';
      if (!undoing && (entry.phase !== 'doing' || entry.error)) continue; // an undo carries its step's error
      if (!failing.includes(undoing ? `undo:${entry.step}` : entry.step)) continue;
      if (/^nic:(release-)?port:/.test(entry.step)) refused = entry.step;
      const orders = effectsOf(entry.step).map(({ port, method, key }) =>
        world.faults.order({ port, method, kind: 'fail-always', code: 'hardware', match: key }),
      );
      if (entry.step === 'instance:record') {
        orders.push(world.faults.order({ port: 'snic', method: 'listFunctions', kind: 'hang', times: 1 }));
      }
      standing.set(entry.step, orders);
    }
  };
}

function asOrdered(): DpuError {
  return new DpuError('hardware', 'the network service refuses, as ordered');
}

function describe(command: StoreCommand): string {
  return command.type === 'write' ? command.entries.flatMap(describeEntry).join(', ') : command.type;
}

function describeEntry(entry: JournalEntry): readonly string[] {
  switch (entry.type) {
    case 'step':
      return [`${entry.step} ${entry.phase}${entry.error ? ' failed' : ''}`];
    case 'state':
      return [`state ${entry.state}`];
    case 'started':
      return ['started'];
    default:
      return [];
  }
}

/** Puts things that others made beside ours; they must stay as they are. */
export function plantForeigners(world: SimWorld): void {
  const other = asId<VolumeId>('33333333-0000-4000-8000-000000000001');
  const theirs = asId<FunctionId>('disk-of-others');
  world.plantForeign({ kind: 'function', id: theirs, class: 'virtio-blk', plugged: true });
  world.plantForeign({ kind: 'function', id: asId<FunctionId>('nic-of-others'), class: 'virtio-net' });
  world.plantForeign({ kind: 'port', portId: asId<PortId>('port-of-others'), representor: 'eth9' });
  world.plantForeign({ kind: 'volume', id: other, sizeBytes: 2 ** 30 });
  world.plantForeign({ kind: 'attachment', functionId: theirs, volumeId: other });
  world.plantForeign({
    kind: 'export',
    volumeId: other,
    node: asId<NodeId>('44444444-0000-4000-8000-000000000001'),
    instance: asId<InstanceId>('44444444-0000-4000-8000-000000000002'),
  });
}
