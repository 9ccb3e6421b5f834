/** One plan of a node of virtual machines, killed at one moment in the process, and the life after it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MutatingMethod } from '../../core/ports/compute-service.ts';
import { asId, type InstanceId, type JsonObject } from '../../core/units.ts';
import { checkOwners, checkWorld, ownedThings } from '../../drivers/sim/invariants.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { beginLife, type Life } from '../sim/life.ts';
import { seededRandom } from './seeded-random.ts';
import type { SimNode } from './sim-node.ts';
import { type VirtualClock, virtualClock } from './virtual-clock.ts';

/** The instance that everything is about. */
export const instance = asId<InstanceId>('11111111-0000-4000-8000-000000000001');
/** Volumes that others made: one to start from, one more. */
export const volumes = {
  boot: '22222222-0000-4000-8000-000000000001',
  data: '22222222-0000-4000-8000-000000000002',
} as const;

/** A request as it is sent. */
export type Sent = readonly [method: MutatingMethod, args?: JsonObject];

/** Where to die: before or behind the n-th write, or the n-th effect on the world. */
export interface Moment {
  readonly what: 'write' | 'effect';
  readonly side: 'before' | 'behind';
  readonly count: number;
}

const hour = 3_600_000;
const by = { by: 'sweep' };

/** What a run came to: whether it died in time, and what is wrong after. */
export interface SweepResult {
  readonly died: boolean;
  readonly wrong: readonly string[];
}

/** Does `before`, then is killed in the middle of `request`; the next life goes on with its store, or without. */
export async function sweepOnce(
  before: readonly Sent[],
  request: Sent,
  moment: Moment,
  store: 'kept' | 'lost',
): Promise<SweepResult> {
  const clock = virtualClock();
  const dir = mkdtempSync(join(tmpdir(), 'vm-sweep-'));
  const world = createSimWorld({
    clock,
    random: seededRandom('vm-sweep/world'),
    store: memoryWorldStore(),
    options: {
      functions: 12,
      volumes: {
        [volumes.boot]: { size_bytes: 2 ** 30, bootable: true },
        [volumes.data]: { size_bytes: 2 ** 30, bootable: false },
      },
    },
    hypervisor: true,
  });
  world.plantForeign({ kind: 'machine', instance: asId<InstanceId>('44444444-0000-4000-8000-000000000001') });
  const lives: Life[] = [];
  const begin = async (): Promise<Life> => {
    const life = beginLife({
      world,
      connect: () => world.connect(),
      onEffect: () => {},
      onLate: () => {},
      adapters: () => [],
      clock,
      dir,
      random: seededRandom(`vm-sweep/${lives.length}`),
      nodeType: 'VM',
    });
    lives.push(life);
    await clock.runUntil(() => life.state() !== 'starting', hour);
    return life;
  };
  try {
    const first = await begin();
    for (const [method, args] of before) await carryOut(first, clock, method, args);
    first.killAt(moment.what, moment.side, moment.count);
    const asked = send(first, request);
    await clock.runUntil(() => first.state() === 'dead' || isIdle(first, asked.ended), hour);
    if (first.state() !== 'dead') return { died: false, wrong: atRest(world, nodeOf(first)) };
    await clock.flush();
    await first.bury();
    if (store === 'lost') rmSync(dir, { recursive: true, force: true });
    const second = await begin();
    await settle(second, clock);
    const wrong = [...atRest(world, nodeOf(second), store === 'lost'), ...wrongEnd(nodeOf(second), request, store)];
    if (wrong.length === 0) wrong.push(...(await destroyed(second, clock, world)));
    return { died: true, wrong };
  } finally {
    for (const life of lives) {
      life.kill();
      await clock.flush();
      await life.bury();
    }
    world.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function nodeOf(life: Life): SimNode {
  const node = life.node();
  if (!node) throw new Error(`the life is ${life.state()}: ${life.reason()}`);
  return node;
}

function send(life: Life, [method, args]: Sent): { readonly ended: () => boolean } {
  let ended = false;
  const { service } = nodeOf(life);
  service
    .submit(method, { uuid: instance, ...args } as never, by)
    .then(({ id }) => service.waitForEnd(id))
    .finally(() => {
      ended = true;
    })
    .catch(() => {});
  return { ended: () => ended };
}

function isIdle(life: Life, ended: () => boolean): boolean {
  const counts = life.node()?.daemon.counts();
  return ended() && counts !== undefined && counts.running + counts.waiting === 0;
}

async function carryOut(life: Life, clock: VirtualClock, method: MutatingMethod, args: JsonObject = {}): Promise<void> {
  const { service } = nodeOf(life);
  const { id } = await clock.drive(service.submit(method, { uuid: instance, ...args } as never, by), hour);
  const end = await clock.drive(service.waitForEnd(id), hour);
  if (end.state !== 'succeeded') throw new Error(`${method} is ${end.state}: ${JSON.stringify(end.error)}`);
}

async function settle(life: Life, clock: VirtualClock): Promise<void> {
  const { daemon } = nodeOf(life);
  await clock.runUntil(() => daemon.counts().running + daemon.counts().waiting === 0, hour);
  for (let turn = 0; turn < 3; turn += 1) {
    await clock.drive(daemon.reconcile(), hour);
    await clock.advance(1000); // the host finds what it was shown
  }
}

const machineOf: Readonly<Record<string, string>> = {
  active: 'running',
  stopped: 'off',
  paused: 'paused',
  suspended: 'suspended',
  rescued: 'running',
};

/** Everything that is wrong with a node at rest: leaks, half things, disagreement. */
function atRest(world: SimWorld, { store }: SimNode, lost = false): string[] {
  const live = store.liveInstances();
  const wrong = [...checkWorld(world), ...checkOwners(world, new Set(live.map(({ id }) => id)))].map((each) =>
    JSON.stringify(each),
  );
  for (const each of store.unendedOperations()) wrong.push(`${each.kind} is ${each.state}`);
  const rows = store.functions().map(({ id, phase }) => `${id} ${phase === 'plugged'}`);
  const made = world.state.functions.rows().map(({ id, plugged }) => `${id} ${plugged}`);
  if (rows.sort().join() !== made.sort().join()) wrong.push(`functions: store ${rows.join()}, world ${made.join()}`);
  for (const { id, state } of live) {
    const machine = world.state.machines.get(id);
    const wanted = machineOf[state];
    // one whose store was lost may have been readopted on its way into or out of its rescue
    const may = [wanted, ...(state === 'rescued' && lost ? ['off'] : [])];
    if (!may.includes(machine?.state)) wrong.push(`instance is ${state}, machine ${machine?.state}`);
    const devices = machine?.devices.map(({ functionId }) => functionId as string) ?? [];
    const plugged = world.state.functions.rows().filter((each) => each.plugged && each.mark?.instance === id);
    if (
      machine &&
      devices.sort().join() !==
        plugged
          .map((each) => each.id as string)
          .sort()
          .join()
    ) {
      wrong.push(`machine has ${devices.join()}, host sees ${plugged.map((each) => each.id).join()}`);
    }
  }
  return wrong;
}

/** A request is done, or undone, or was never accepted. */
function wrongEnd({ store }: SimNode, [method]: Sent, fate: 'kept' | 'lost'): string[] {
  if (fate === 'lost') return [];
  const { operations } = store.listOperations({}, { limit: 100, cursor: null });
  return operations
    .filter((each) => each.state !== 'succeeded')
    .map((each) => `${method}: ${each.kind} is ${each.state} ${JSON.stringify(each.error)}`);
}

async function destroyed(life: Life, clock: VirtualClock, world: SimWorld): Promise<string[]> {
  const node = nodeOf(life);
  if (node.store.liveInstances().length > 0) await carryOut(life, clock, 'destroy_instance');
  await settle(life, clock);
  const left = ownedThings(world.state).map((each) => `left after a destroy: ${JSON.stringify(each)}`);
  const rows = [...node.store.functions(), ...node.store.bindings(), ...node.store.ports()];
  return [...left, ...rows.map((each) => `row left: ${JSON.stringify(each)}`), ...atRest(world, node)];
}
