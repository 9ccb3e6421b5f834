/**
 * Every plan, killed with SIGKILL at every moment that matters, and failing at every step; then a life with the store kept
 * and one with it lost. `CRASH_ALL=1` runs every case, else kills come in a slice that `CRASH_SEED` chooses (a number; 1
 * unless told). `CRASH_CASE='build!host:on@140'` runs one.
 */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { scenarios } from '../support/crash-scenario.ts';
import { type CrashBench, type CrashCase, caseName, openBench, type Rehearsal } from '../support/crash-suite.ts';
import { seededRandom } from '../support/seeded-random.ts';

const only = process.env.CRASH_CASE;
const all = process.env.CRASH_ALL === '1' || only !== undefined;
const seed = process.env.CRASH_SEED ?? '1';
const chance = seededRandom(`crash ${seed}`);
/** Of the moments at which a plan can be killed, and of those of its unwinding, the parts that a short run takes. */
const slices = { forward: 0.3, back: 0.06 } as const;
const hour = 3_600_000;

const ran = { kills: 0, failures: 0, possible: 0 };
let bench: CrashBench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => {
  bench.remove();
  const lives = 2 * (ran.kills + ran.failures);
  process.stdout.write(
    `crash suite: ${ran.kills} kills and ${ran.failures} failures of ${ran.possible} cases, ${lives} lives after, seed ${seed}\n`,
  );
  if (only !== undefined && ran.kills + ran.failures === 0) throw new Error(`there is no case ${only}`);
});

async function runAll(cases: readonly CrashCase[], share: number): Promise<void> {
  ran.possible += cases.length;
  const chosen = cases.filter((each) =>
    only === undefined ? all || each.point === 0 || chance.chance(share) : caseName(each) === only,
  );
  const wrong: string[] = [];
  const queue = [...chosen];
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      const log = only === undefined ? () => {} : (line: string) => void process.stdout.write(`${line}\n`);
      const found = await bench.run(one, log);
      if (one.point === 0) ran.failures += 1;
      else ran.kills += 1;
      if (found.length === 0) continue;
      const moment = one.rehearsal.moments[one.point - 1] ?? 'no kill';
      wrong.push(`${moment}\n  ${found.join('\n  ')}\n  replay: CRASH_CASE='${caseName(one)}' vitest run test/crash`);
    }
  };
  await Promise.all([work(), work()]);
  expect(wrong.join('\n')).toBe('');
}

function kills(rehearsal: Rehearsal, from: number): CrashCase[] {
  const points = rehearsal.moments.map((_, index) => index + 1);
  return points.slice(from).map((point) => ({ rehearsal, point }));
}

/** Steps in which nothing can fail: the store alone, and the BIOS settings that the simulated host does not have. */
const asksNobody = new Set([
  'host:bios-check',
  'host:bios-restore',
  'instance:forget',
  'instance:renew',
  'secrets:erase',
]);

/** Steps of a build that leave nothing to take back. */
const withoutUndo = new Set(['host:bios-check', 'host:boot-device', 'host:off', 'instance:record']);

for (const scenario of scenarios) {
  const others = scenario.instead !== undefined;
  it(`${scenario.name}: killed around every write and every effect`, { timeout: hour }, async () => {
    const rehearsal = await bench.rehearse(scenario);
    expect(rehearsal.outcome).toBe(scenario.name === 'build-cancelled' ? 'cancelled' : 'succeeded');
    expect(rehearsal.moments.length).toBeGreaterThan(10);
    await runAll(kills(rehearsal, 0), slices.forward);
  });

  it.skipIf(others)(
    `${scenario.name}: fails at every step, is killed while that is undone`,
    { timeout: hour },
    async () => {
      const { steps } = await bench.rehearse(scenario);
      const cases: CrashCase[] = [];
      for (const step of steps) {
        const rehearsal = await bench.rehearse(scenario, [step]);
        if (asksNobody.has(step)) continue;
        const failed = rehearsal.moments.findIndex((label) => label.includes(`${step} doing failed`));
        expect(failed, step).toBeGreaterThan(0);
        cases.push({ rehearsal, point: 0 }, ...kills(rehearsal, failed));
      }
      await runAll(cases, slices.back);
    },
  );
}

it('build: every undo that fails is stuck, and goes on when an operator retries', { timeout: hour }, async () => {
  const build = scenarios.filter((each) => each.name === 'build');
  const cases: CrashCase[] = [];
  for (const scenario of build) {
    const { steps } = await bench.rehearse(scenario);
    const back = steps.filter((step) => !withoutUndo.has(step));
    for (const step of back) {
      const rehearsal = await bench.rehearse(scenario, ['host:on', `undo:${step}`]);
      expect(rehearsal.outcome, step).toBe('stuck');
      const failed = rehearsal.moments.findIndex((label) => label.includes('host:on doing failed'));
      cases.push({ rehearsal, point: 0 }, ...kills(rehearsal, failed));
    }
  }
  await runAll(cases, slices.back / 3);
});
