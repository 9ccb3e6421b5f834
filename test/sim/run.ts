/** Runs seeds of the simulation. Exit code 1 when a seed failed. */
import { parseArgs } from 'node:util';
import { runSeed, type SeedResult } from './simulation.ts';

const usage = `npm run test:sim -- [options]
  --seeds N            how many seeds; 200 unless told
  --first S            the first of them; 1 unless told
  --seed S             this one alone
  --minutes M          begin no seed after so many minutes
  --vm                 a node of virtual machines; bare metal unless told
  --verbose            print every event
  --check-determinism  run each seed twice and compare
  --help               this`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '200' },
    first: { type: 'string', default: '1' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    vm: { type: 'boolean', default: false },
    'check-determinism': { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}

const shownLines = 400;
const shownFailures = 3;

function number(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`--${name} must be a whole number, not ${text}\n`);
    process.exit(2);
  }
  return value;
}

const first = number(values.seed ?? values.first, 'first');
const seeds = values.seed === undefined ? number(values.seeds, 'seeds') : 1;
const until = values.minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.minutes) * 60_000;
const stray: unknown[] = [];
process.on('unhandledRejection', (error) => stray.push(error));

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function run(seed: number, echo: boolean): Promise<SeedResult> {
  stray.length = 0;
  const result = await runSeed({ seed, nodeType: values.vm ? 'VM' : 'BM', ...(echo ? { echo: say } : {}) });
  await new Promise((resolve) => setImmediate(resolve));
  const strays = stray.map((error) => `unhandled ${error instanceof Error ? error.stack : String(error)}`);
  return { ...result, failures: [...result.failures, ...strays] };
}

const totals = { seeds: 0, events: 0, crashes: 0, failed: 0 };
const outcomes = new Map<string, number>();
const ends = new Map<string, number>();
const add = (to: Map<string, number>, from: ReadonlyMap<string, number>): void => {
  for (const [name, count] of from) to.set(name, (to.get(name) ?? 0) + count);
};
const listed = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

for (let seed = first; seed < first + seeds && Date.now() < until; seed += 1) {
  let result = await run(seed, values.verbose);
  if (values['check-determinism']) {
    const again = await run(seed, false);
    if (again.hash !== result.hash) {
      const line = result.lines.findIndex((each, index) => each !== again.lines[index]);
      const both = `${result.lines[line]} <> ${again.lines[line]}`;
      result = { ...result, failures: [...result.failures, `not-deterministic from line ${line}: ${both}`] };
    }
  }
  totals.seeds += 1;
  totals.events += result.events;
  totals.crashes += result.crashes;
  add(outcomes, result.outcomes);
  add(ends, result.ends);
  if (result.failures.length === 0) continue;
  totals.failed += 1;
  if (!values.verbose && totals.failed <= shownFailures) {
    for (const line of result.lines.slice(-shownLines)) say(line);
  }
  say(`seed ${seed} failed (trace ${result.hash}):`);
  for (const failure of result.failures.slice(0, 8)) say(`  ${failure}`);
  say(`  again: npm run test:sim --${values.vm ? ' --vm' : ''} --seed ${seed} --verbose`);
}

say(`seeds ${totals.seeds}, events ${totals.events}, crashes ${totals.crashes}`);
say(`requests: ${listed(outcomes)}`);
say(`operations: ${listed(ends)}`);
say(`${totals.seeds - totals.failed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed > 0 ? 1 : 0;
