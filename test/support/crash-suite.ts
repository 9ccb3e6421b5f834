/** Cases of the crash suite: how each is rehearsed, killed, brought back, and looked at. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { OperationKind } from '../../core/instance-state.ts';
import { ownedThings } from '../../drivers/sim/invariants.ts';
import { type Failing, type Life, plantForeigners, startLife } from './crash-life.ts';
import { type BaseName, bases, effectsOf, instance, type Scenario, scenarioOf } from './crash-scenario.ts';
import { faultsOf, type Shape, shapeOf } from './crash-shape.ts';

/** What becomes of the store after the death. */
export type StoreFate = 'kept' | 'lost';

/** A scenario carried out without a kill, to see what there is to kill. */
export interface Rehearsal {
  readonly scenario: Scenario;
  readonly failing: Failing;
  /** Every moment at which it can be killed, in order. */
  readonly moments: readonly string[];
  readonly steps: readonly string[];
  readonly outcome: string;
  readonly before: Shape | null;
  readonly after: Shape | null;
  /** The instance when nothing fails. */
  readonly done: Shape | null;
  /** The instance when only a first request was accepted. */
  readonly instead: Shape | null;
  /** The instance at the scenario's `through`. */
  readonly through: Shape | null;
  /** Effect -> how often it may happen without a kill, whichever way the operation goes. */
  readonly effects: ReadonlyMap<string, number>;
}

/** One death. `point` counts the rehearsal's moments from 1; 0: no kill, an end in good order. */
export interface CrashCase {
  readonly rehearsal: Rehearsal;
  readonly point: number;
}

/** In the middle of these an instance has no boot disk plugged: without a store nothing says that it was one. */
const unwhole: readonly OperationKind[] = ['build', 'destroy', 'rebuild'];

/** Name of a case: `CRASH_CASE` replays it. */
export function caseName({ rehearsal, point }: CrashCase): string {
  const failing = rehearsal.failing.map((step) => `!${step}`).join('');
  return `${rehearsal.scenario.name}${failing}@${point}`;
}

const child = new URL('../crash/child.ts', import.meta.url).pathname;

/** A directory with the nodes that scenarios start from. */
export interface CrashBench {
  rehearse(scenario: Scenario, failing?: Failing): Promise<Rehearsal>;
  /** Lives the case, then the next life with the store kept and another with it lost. Answers what was wrong. */
  run(one: CrashCase, log?: (line: string) => void): Promise<readonly string[]>;
  remove(): void;
}

/** Makes one: builds the instance, plants the foreign things. */
export async function openBench(): Promise<CrashBench> {
  const root = mkdtempSync(join(tmpdir(), 'crash-'));
  const base = (name: BaseName): string => join(root, name);
  const bare = await startLife({ dir: ensure(base('empty')), seed: 'base' });
  plantForeigners(bare.world);
  await bare.close();
  for (const [to, from, through] of bases) {
    cpSync(base(from), base(to), { recursive: true });
    const life = await startLife({ dir: base(to), seed: `base ${to}` });
    for (const scenario of through) {
      await life.drive(scenarioOf(scenario).submit(life.node.service));
      await settle(life);
    }
    await life.close();
    rmSync(join(base(to), 'effects.log'), { force: true });
  }
  let taken = 0;
  const copy = (from: string): string => {
    taken += 1;
    const dir = join(root, String(taken));
    cpSync(from, dir, { recursive: true });
    return dir;
  };

  const done = new Map<string, Shape | null>();
  const usual = new Map<string, ReadonlyMap<string, number>>();

  async function rehearse(scenario: Scenario, failing: Failing = []): Promise<Rehearsal> {
    if (failing.length > 0 && !done.has(scenario.name)) await rehearse(scenario);
    for (const other of [scenario.instead, scenario.through]) {
      if (other && !done.has(other)) await rehearse(scenarioOf(other));
    }
    const dir = copy(base(scenario.base));
    const moments: string[] = [];
    const life = await startLife({
      dir,
      seed: 'first life',
      scenario,
      failing,
      onMoment: (label) => moments.push(label),
    });
    const before = shapeOf(life);
    life.arm();
    await life.drive(scenario.submit(life.node.service));
    await life.idle();
    const seen = moments.length;
    const byItself = faultsOf(life, false);
    await settle(life);
    const operation = lastOperation(life, scenario);
    const after = shapeOf(life);
    const wrong = operation?.state === 'stuck' ? [] : [...byItself, ...faultsOf(life)];
    await life.close();
    const ways = [effectCounts(dir), usual.get(scenario.name), usual.get(scenario.instead ?? '')];
    const effects = mostOf(ways.filter((each) => each !== undefined));
    rmSync(dir, { recursive: true });
    if (failing.length === 0) {
      done.set(scenario.name, after);
      usual.set(scenario.name, effects);
    }
    if (wrong.length > 0) throw new Error(`${scenario.name} ${failing.join()} unkilled: ${wrong.join('\n')}`);
    return {
      scenario,
      failing,
      before,
      after,
      done: done.get(scenario.name) ?? null,
      instead: done.get(scenario.instead ?? '') ?? before,
      through: done.get(scenario.through ?? '') ?? null,
      effects,
      moments: moments.slice(0, seen),
      steps: operation?.steps.map((each) => each.name) ?? [],
      outcome: operation?.state ?? 'none',
    };
  }

  async function die({ rehearsal, point }: CrashCase, dir: string): Promise<readonly string[]> {
    const { scenario, failing } = rehearsal;
    if (point === 0) {
      const life = await startLife({ dir, seed: 'first life', scenario, failing });
      await life.drive(scenario.submit(life.node.service));
      await life.idle();
      await life.close();
      return [];
    }
    const process_ = spawn(process.execPath, [child, dir, scenario.name, String(point), ...failing], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    process_.stderr.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const [code, signal] = (await once(process_, 'exit')) as [number | null, string | null];
    return signal === 'SIGKILL' ? [] : [`the child was not killed: exit ${code} ${signal} ${text.slice(0, 2000)}`];
  }

  return {
    rehearse,
    async run(one, log = () => {}) {
      const dir = copy(base(one.rehearsal.scenario.base));
      const wrong = [...(await die(one, dir))];
      if (wrong.length === 0) {
        const lost = copy(dir);
        rmSync(join(lost, 'state'), { recursive: true });
        wrong.push(...(await caught('kept', () => reviveKept(one, dir, log))));
        wrong.push(...(await caught('lost', () => reviveLost(one, lost, log))));
        rmSync(lost, { recursive: true });
      }
      rmSync(dir, { recursive: true });
      return wrong;
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function ensure(dir: string): string {
  mkdirSync(dir);
  return dir;
}

async function caught(fate: StoreFate, revive: () => Promise<readonly string[]>): Promise<readonly string[]> {
  try {
    return (await revive()).map((each) => `store ${fate}: ${each}`);
  } catch (error) {
    return [`store ${fate}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
  }
}

/** Lets a life come to rest; answers whether reconcile says that it did. */
async function settle(life: Life): Promise<boolean> {
  let settled = false;
  for (let pass = 0; pass < 4; pass += 1) {
    await life.idle();
    settled = await life.drive(life.node.daemon.reconcile());
  }
  return settled;
}

/** The scenario's own operation; a `stop` that made the base is older than any of its. */
function lastOperation({ node }: Life, { kind }: Scenario) {
  const { operations } = node.store.listOperations({ instance, kind }, { limit: 1, cursor: null });
  return operations[0];
}

async function reviveKept(one: CrashCase, dir: string, log: (line: string) => void): Promise<readonly string[]> {
  const { rehearsal } = one;
  const { scenario, failing } = rehearsal;
  const inFlight = stepsInFlight(dir);
  const life = await startLife({ dir, seed: 'second life', scenario });
  const wrong: string[] = [];
  try {
    await life.idle();
    // steps and their undo leave nothing for reconcile to find
    const byItself = faultsOf(life, false);
    let settled = await settle(life);
    let operation = lastOperation(life, scenario);
    if (operation?.state !== 'stuck') wrong.push(...byItself.map((each) => `before reconcile: ${each}`));
    if (operation?.state === 'stuck') {
      log(`stuck: ${JSON.stringify(operation.error)}`);
      if (failing.length === 0) wrong.push(`stuck without a failure: ${JSON.stringify(operation.error)}`);
      await life.drive(life.node.service.retryOperation(operation.id, { by: 'crash' }));
      settled = await settle(life);
      operation = lastOperation(life, scenario);
    }
    log(`kept: in flight ${inFlight.join()}; operation ${operation?.state}; ${JSON.stringify(shapeOf(life))}`);
    if (!settled) wrong.push('reconcile does not come to rest');
    wrong.push(...faultsOf(life));
    wrong.push(...wrongEnd(one, operation?.state ?? 'none', shapeOf(life)));
    if (operation?.state !== 'succeeded' || one.point > 0) wrong.push(...ranTwice(rehearsal, inFlight, dir));
    wrong.push(...(await destroyed(life)));
  } finally {
    await life.close();
  }
  return wrong;
}

/** The operation is done, undone, or was never accepted; each leaves the instance as the rehearsal did. */
function wrongEnd({ rehearsal, point }: CrashCase, state: string, shape: Shape | null): readonly string[] {
  const { scenario, failing, before, after, done, instead, outcome } = rehearsal;
  const is = (wanted: Shape | null): boolean => JSON.stringify(wanted) === JSON.stringify(shape);
  const undone = (): boolean => {
    if (outcome === 'failed') return is(after);
    return scenario.name === 'build' ? shape?.state === 'error' && shape.devices.length === 0 : is(before);
  };
  const fits =
    (state === 'none' && point > 0 && (is(before) || is(instead))) ||
    (state === 'succeeded' && (is(done) || (scenario.instead !== undefined && is(instead)))) ||
    (state === 'cancelled' && outcome === 'cancelled' && is(after)) ||
    (state === 'failed' && failing.length > 0 && undone());
  return fits ? [] : [`neither done nor undone: operation ${state}, instance ${JSON.stringify(shape)}`];
}

/** Effects of both lives against the rehearsal: only steps in flight may have theirs twice. */
function ranTwice(rehearsal: Rehearsal, inFlight: readonly string[], dir: string): readonly string[] {
  if (rehearsal.outcome === 'stuck') return [];
  const again = new Set(
    inFlight.flatMap((step) => effectsOf(step).map(({ port, method, key }) => `${port}.${method} ${key}`)),
  );
  const wrong: string[] = [];
  for (const [effect, count] of effectCounts(dir)) {
    const once_ = rehearsal.effects.get(effect) ?? 0;
    if (count > once_ + (again.has(effect) ? 1 : 0)) {
      wrong.push(`${effect} ran ${count} times, ${once_} without the kill; in flight: ${inFlight.join()}`);
    }
  }
  return wrong;
}

async function reviveLost({ rehearsal }: CrashCase, dir: string, log: (line: string) => void) {
  const { scenario, before, done, instead, through } = rehearsal;
  const life = await startLife({ dir, seed: 'life without memory', scenario });
  const wrong: string[] = [];
  try {
    const settled = await settle(life);
    const shape = shapeOf(life);
    log(`lost: ${JSON.stringify(shape)}`);
    if (!settled) wrong.push('reconcile does not come to rest');
    wrong.push(...faultsOf(life));
    const mayBeGone =
      unwhole.includes(scenario.kind) || scenario.base === 'bootless' || scenario.name === 'detach-boot';
    const fits =
      shape === null
        ? mayBeGone
        : [before, done, instead, through].some((each) => each !== null && isWhole(each, shape));
    if (!fits) wrong.push(`neither whole nor gone: ${JSON.stringify(shape)}, was ${JSON.stringify(before)}`);
    if (shape && !['active', 'stopped', 'rescued'].includes(shape.state)) wrong.push(`readopted as ${shape.state}`);
    wrong.push(...(await destroyed(life)));
  } finally {
    await life.close();
  }
  return wrong;
}

/** All of it but its state, which is the host's. */
function isWhole(wanted: Shape, shape: Shape): boolean {
  return JSON.stringify({ ...wanted, state: '' }) === JSON.stringify({ ...shape, state: '' });
}

/** What is left after a destroy of what is there, which must be nothing. */
async function destroyed(life: Life): Promise<readonly string[]> {
  if (shapeOf(life) !== null) {
    await life.drive(scenarioOf('destroy').submit(life.node.service));
    await settle(life);
  }
  const left = ownedThings(life.world.state).map((each) => `left after a destroy: ${JSON.stringify(each)}`);
  if (shapeOf(life) !== null) left.push(`not destroyed: ${JSON.stringify(shapeOf(life))}`);
  return [...left, ...faultsOf(life).map((each) => `after a destroy: ${each}`)];
}

function stepsInFlight(dir: string): readonly string[] {
  const db = new Database(join(dir, 'state', 'soc-daemon.db'), { readonly: true });
  try {
    const rows = db.prepare("SELECT name FROM steps WHERE phase IN ('doing', 'undoing')").all();
    return rows.map((row) => (row as { readonly name: string }).name);
  } finally {
    db.close();
  }
}

function effectCounts(dir: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const file = join(dir, 'effects.log');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  for (const line of text.split('\n')) if (line !== '') counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

function mostOf(ways: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const most = new Map<string, number>();
  for (const way of ways) {
    for (const [effect, count] of way) most.set(effect, Math.max(count, most.get(effect) ?? 0));
  }
  return most;
}
