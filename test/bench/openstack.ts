/**
 * This daemon against the stock nova-compute with its fake driver, on the same control plane in the same run, taking turns:
 * `node test/bench/openstack.ts [--quick] [--json FILE] [--dist BUILD] [--state DIR]`. Needs `node tools/setup.mjs openstack` and root. With
 * `--state` it uses the control plane of that directory, and leaves it up. It never fails because something is slow.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stackDown, stackUp } from '../../tools/openstack/stack.ts';
import { ROOT } from '../architecture/project-files.ts';
import {
  buildRounds,
  type Competitor,
  competitors,
  measureIdle,
  measureStarts,
  type Start,
} from './openstack-parts.ts';
import type { Memory } from './procfs.ts';
import { mib, quantile, type Row, spread, tableOf } from './report.ts';
import { makeScene } from './scene.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    dist: { type: 'string' },
    state: { type: 'string' },
  },
});
const servers = values.quick ? 4 : 20;
const starts = values.quick ? 1 : 5;
const idleMs = values.quick ? 30_000 : 60_000;
/** After a start: what was loaded for it is collected. */
const settleMs = values.quick ? 15_000 : 60_000;

const kinds = {
  image: 'of an image, no network',
  network: 'of an image, one network',
  volume: 'a volume for both, no network',
} as const;

const dir = values.state ?? mkdtempSync(join(tmpdir(), 'ostb-'));
const say = (line: string): void => console.log(line);
try {
  const stack = await stackUp({ dir, cache: join(ROOT, '.cache/openstack'), say });
  const { dist } = makeScene(dir, stack.transportUrl, values.dist);
  const { ours, stock, end } = await competitors(stack, join(dist, 'soc-daemon/main.js'));
  try {
    console.log(tableOf(await measure(ours, stock)));
    console.log(`\nLoad average at the end: ${loadavg()[0]?.toFixed(1)}`);
  } finally {
    await end();
  }
} finally {
  if (values.state === undefined) await stackDown(dir, { purge: true });
}

async function measure(ours: Competitor, stock: Competitor): Promise<readonly Row[]> {
  const [ourStarts, stockStarts] = await measureStarts([ours, stock], starts);
  const [ourIdle, stockIdle] = await measureIdle([ours, stock], settleMs, idleMs);
  const median = (all: readonly number[]): number => quantile(all, 0.5);
  const wall = (all: readonly Start[]): readonly number[] => all.map(({ ms }) => ms);
  const cpu = (all: readonly Start[]): readonly number[] => all.map(({ cpuMs }) => cpuMs);
  const rows: Row[] = [];
  /** What is measured is told at once: a whole run takes its time. */
  const add = (...more: readonly Row[]): void => {
    for (const { what, measured, peer } of more) say(`${what}: ${measured}; nova-compute: ${peer}`);
    rows.push(...more);
  };
  add(
    {
      what: 'From exec to the first heartbeat in nova, restart',
      measured: spread(wall(ourStarts), 'ms'),
      target: 'a fifth',
      peer: `${spread(wall(stockStarts), 'ms')}: ${times(median(wall(ourStarts)), median(wall(stockStarts)))} times`,
      numbers: { ours: median(wall(ourStarts)), stock: median(wall(stockStarts)) },
    },
    {
      what: 'CPU until then',
      measured: spread(cpu(ourStarts), 'ms'),
      target: '',
      peer: `${spread(cpu(stockStarts), 'ms')}: ${times(median(cpu(ourStarts)), median(cpu(stockStarts)))} times`,
      numbers: { ours: median(cpu(ourStarts)), stock: median(cpu(stockStarts)) },
    },
    memoryRow('Resident memory, idle', ourIdle.memory, stockIdle.memory),
    {
      what: 'CPU per idle minute',
      measured: `${ourIdle.cpuMsPerMinute.toFixed(0)} ms`,
      target: '',
      peer: `${stockIdle.cpuMsPerMinute.toFixed(0)} ms`,
      numbers: { ours: ourIdle.cpuMsPerMinute, stock: stockIdle.cpuMsPerMinute },
    },
  );
  for (const kind of ['image', 'network', 'volume'] as const) {
    // as many as are counted then: compiled code, loaded modules, connections
    await buildRounds([ours, stock], { servers, kind, order: 'side by side' });
    for (const order of ['in a row', 'side by side'] as const) {
      const [mine, theirs] = await buildRounds([ours, stock], { servers, kind, order });
      const what = `${servers} servers ${order}, ${kinds[kind]}`;
      add(
        {
          what: `${what}: until the last is ACTIVE`,
          measured: `${(mine.buildMs / 1000).toFixed(1)} s`,
          target: '',
          peer: `${(theirs.buildMs / 1000).toFixed(1)} s`,
          numbers: { ours: mine.buildMs, stock: theirs.buildMs },
        },
        {
          what: `${what}: CPU of the compute process for each, built and deleted`,
          measured: `${mine.cpuMsEach.toFixed(1)} ms`,
          target: 'a quarter',
          peer: `${theirs.cpuMsEach.toFixed(1)} ms: ${times(mine.cpuMsEach, theirs.cpuMsEach)} times`,
          numbers: { ours: mine.cpuMsEach, stock: theirs.cpuMsEach },
        },
      );
    }
  }
  add(memoryRow(`Resident memory after ${9 * servers} servers`, ours.memory(), stock.memory()));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  return rows;
}

function memoryRow(what: string, ours: Memory, stock: Memory): Row {
  const said = ({ rss, anonymous }: Memory): string => `${mib(rss)}, of it its own ${mib(anonymous)}`;
  return {
    what,
    measured: said(ours),
    target: 'half',
    peer: `${said(stock)}: ${times(ours.rss, stock.rss)} times, ${times(ours.anonymous, stock.anonymous)} times`,
    numbers: { ours: ours.rss, stock: stock.rss, oursOwn: ours.anonymous, stockOwn: stock.anonymous },
  };
}

/** How many times as much the other one has. */
function times(one: number, other: number): string {
  return (other / one).toFixed(1);
}
