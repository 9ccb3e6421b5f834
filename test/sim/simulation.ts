import Database from 'better-sqlite3';
import { checkAlways, checkEmpty, checkPromises, checkQuiet } from './checks.ts';
import { events } from './events.ts';
import { createScene, type Scene, type SeedOptions } from './scene.ts';

/** How a seed went. */
export interface SeedResult {
  readonly seed: number;
  /** Rules that were broken; empty: it passed. */
  readonly failures: readonly string[];
  readonly events: number;
  readonly crashes: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly ends: ReadonlyMap<string, number>;
  readonly lines: readonly string[];
  readonly hash: string;
}

const pauses = [0, 0, 1, 5, 20, 100, 400, 1500, 6000, 30_000, 90_000, 400_000] as const;
const tempers = [0, 0.3, 1, 1, 3] as const;
const hour = 3_600_000;

/** Runs a seed from its first life to an empty node. Never rejects: what goes wrong is among the failures. */
export async function runSeed(options: SeedOptions): Promise<SeedResult> {
  const scene = createScene(options);
  const { clock, random, trace, failures } = scene;
  const ends = new Map<string, number>();
  let done = 0;
  try {
    await clock.advance(1000);
    const length = 20 + random.int(61);
    // each seed has a temper of its own: what is rare in most is common in some
    const weights = events.map(([weight, name]) => weight * (name === 'request' ? 1 : random.pick(tempers)));
    for (; done < length && failures.length === 0; done += 1) {
      await oneEvent(scene, weights);
      failures.push(...checkNow(scene));
    }
    if (failures.length === 0) await quieten(scene);
    if (failures.length === 0) await empty(scene, ends);
  } catch (error) {
    failures.push(`simulation-stopped ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  scene.life.kill();
  await clock.flush();
  await scene.life.bury();
  scene.close();
  for (const failure of failures) trace.add(`FAILED ${failure}`);
  const { crashes, outcomes } = scene;
  return {
    seed: options.seed,
    failures,
    events: done,
    crashes,
    outcomes,
    ends,
    lines: trace.lines,
    hash: trace.hash(),
  };
}

async function oneEvent(scene: Scene, weights: readonly number[]): Promise<void> {
  const { random, clock, trace } = scene;
  let at = random.unit() * weights.reduce((sum, weight) => sum + weight, 0);
  const event = events.find((_each, index) => {
    at -= weights[index] ?? 0;
    return at < 0;
  });
  if (event) {
    trace.add(`* ${event[1]}`);
    event[2](scene);
  }
  await clock.advance(random.chance(0.3) ? 0 : random.int(random.pick(pauses) + 1));
  await revive(scene, 0.6);
}

/** Buries what is dead, and starts anew with this chance. */
async function revive(scene: Scene, chance: number): Promise<void> {
  const { life, random, clock, trace } = scene;
  const state = life.state();
  if (state !== 'dead' && state !== 'failed' && state !== 'stopped') return;
  await clock.flush();
  await life.bury();
  if (!random.chance(chance)) return;
  trace.add(`life ${scene.lives} ${state} ${life.reason()}`);
  if (life.reason().startsWith('fatal')) scene.failures.push(`daemon-gave-up ${life.reason()}`);
  if (state === 'dead') scene.crashes += 1;
  if (scene.loseStoreNext) scene.loseStore();
  scene.loseStoreNext = false;
  scene.begin();
  await clock.advance(random.pick([0, 10, 500, 5000]));
}

function checkNow(scene: Scene): readonly string[] {
  const { life, world, platform } = scene;
  const store = life.state() === 'up' ? (life.node()?.store ?? null) : null;
  return checkAlways(world, platform, store, { rowsKnown: !scene.storeLost, nodeType: scene.nodeType });
}

/** An operator sees to everything: all peers are there, nothing fails any more, what is stuck is tried again. */
async function quieten(scene: Scene): Promise<void> {
  const { clock, world, platform, trace, failures } = scene;
  trace.add('--- all is mended');
  world.faults.clear();
  for (const start of scene.stopped.values()) start();
  scene.stopped.clear();
  platform.refuse(false);
  platform.reconnect();
  scene.life.killAt('write', 'before', Number.POSITIVE_INFINITY);
  for (let round = 0; round < 40 && failures.length === 0; round += 1) {
    await clock.advance(5000);
    await revive(scene, 1);
    const node = scene.life.node();
    if (!node || scene.life.state() !== 'up') {
      await clock.advance(120_000);
      continue;
    }
    const waiting = (): boolean => node.store.unendedOperations().some(({ state }) => state !== 'stuck');
    if (waiting()) await clock.runUntil(() => !waiting() || scene.life.state() !== 'up', 3 * hour);
    for (const { id, instance, state, kind, error } of node.store.unendedOperations()) {
      if (state !== 'stuck') continue;
      if (kind === 'abort_migration' && error?.code === 'conflict') {
        // its volumes were let go, and one of them is another's by now: it can't come back
        trace.add(`  operator destroys ${instance}, which can not come back`);
        await clock.drive(node.service.submit('destroy_instance', { uuid: instance }, { by: 'operator' }), hour);
        continue;
      }
      trace.add(`  operator retries ${kind} ${id} after ${error?.code} in ${error?.step}`);
      await clock.drive(node.service.retryOperation(id, { by: 'operator' }), hour);
    }
    const settled = await clock.drive(node.daemon.reconcile(), hour);
    failures.push(...checkNow(scene));
    const reasons = node.service.nodeStatus().not_ready_reasons.map(({ id }) => id);
    if (reasons.includes('readopting')) {
      trace.add('  operator switches the host off');
      world.host.shutDownByUser();
    }
    if (reasons.includes('maintenance')) {
      await clock.drive(node.service.setMaintenance(false, null, { by: 'operator' }), hour);
    }
    const quiet = (): boolean =>
      node.store.unendedOperations().length === 0 && node.store.casts(1).length === 0 && platform.waiting() === 0;
    trace.add(`  round ${round}: settled ${settled}, quiet ${quiet()}, not ready: ${reasons.join() || 'no reason'}`);
    if (!settled || reasons.length > 0 || round < 2) continue;
    await clock.runUntil(() => quiet() || scene.life.state() !== 'up', hour);
    await clock.advance(130_000);
    if (!quiet()) continue;
    failures.push(...checkNow(scene), ...checkQuiet(world, platform, node.store, scene.nodeType));
    failures.push(...checkPromises(node.store, scene.accepted));
    return;
  }
  const why = scene.life.node()?.service.nodeStatus().not_ready_reasons;
  if (failures.length === 0)
    failures.push(`never-quiet ${JSON.stringify(why)} ${scene.life.state()} ${scene.life.reason()}`);
}

/** Destroys every instance; then nothing may be left. */
async function empty(scene: Scene, ends: Map<string, number>): Promise<void> {
  const { clock, world, trace, failures } = scene;
  const node = scene.life.node();
  if (!node) return;
  trace.add('--- all is destroyed');
  for (const { id } of node.store.liveInstances()) {
    const asked = node.service.submit('destroy_instance', { uuid: id }, { by: 'operator' });
    const operation = await clock.drive(asked, hour);
    const end = await clock.drive(node.service.waitForEnd(operation.id), 3 * hour);
    if (end.state !== 'succeeded') failures.push(`destroy-failed ${id} ${end.state} ${JSON.stringify(end.error)}`);
  }
  await quieten(scene);
  if (failures.length > 0) return;
  failures.push(...checkEmpty(world, node.store));
  countEnds(scene, ends);
  scene.life.stop();
  await clock.runUntil(() => scene.life.state() !== 'stopping', hour);
  const db = new Database(scene.storeFile, { readonly: true });
  const secrets = db.prepare('SELECT count(*) FROM secrets').pluck().get();
  db.close();
  if (secrets !== 0) failures.push(`secrets-left ${String(secrets)}`);
}

function countEnds(scene: Scene, ends: Map<string, number>): void {
  const node = scene.life.node();
  if (!node) return;
  const { operations } = node.store.listOperations({}, { limit: 1000, cursor: null });
  for (const { kind, state } of operations) ends.set(`${kind} ${state}`, (ends.get(`${kind} ${state}`) ?? 0) + 1);
}
