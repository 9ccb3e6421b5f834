/**
 * Measures a virtual DPU and prints a table: `node test/bench/virtual-dpu.ts [--times N] [--json FILE]`. From nothing to its BMC answering, and
 * what it costs while nobody uses it. It needs root.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { down, status, up } from '../../virtual-dpu/virtual-dpu.ts';
import { mib, quantile, type Row, spread, tableOf } from './report.ts';

const { values } = parseArgs({ options: { times: { type: 'string' }, json: { type: 'string' } } });
const times = Number(values.times ?? 10);
const IDLE_MS = 10_000;

/** Clock ticks a second, the unit of CPU time in /proc (proc(5)): 100 on every Linux that Node runs on. */
const TICKS = 100;

const ups: number[] = [];
const mends: number[] = [];
const downs: number[] = [];
const parts = new Map<string, number[]>();
let idle: Row | undefined;

async function timed(into: number[], work: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  await work();
  into.push(performance.now() - begun);
}

/** Lines of `up` are `part: up (0.42 s)`. */
function note(line: string): void {
  const [, part, seconds] = /^(\w+): up \(([\d.]+) s\)$/.exec(line) ?? [];
  if (part !== undefined) parts.set(part, [...(parts.get(part) ?? []), Number(seconds) * 1000]);
}

function cpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
}

/** Proportional set size: shared pages counted once among those who share them. */
function memory(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
}

async function measureIdle(stateDir: string): Promise<Row> {
  const { processes } = await status(stateDir);
  const before = new Map(processes.map(({ pid }) => [pid, cpuMs(pid)]));
  await sleep(IDLE_MS);
  const used = processes.map(
    ({ name, pid }) => [name, ((cpuMs(pid) - (before.get(pid) ?? 0)) * 60_000) / IDLE_MS] as const,
  );
  const sum = used.reduce((total, [, ms]) => total + ms, 0);
  const bytes = processes.reduce((total, { pid }) => total + memory(pid), 0);
  const busiest = [...used].sort((a, b) => b[1] - a[1])[0];
  return {
    what: `Idle, all ${processes.length} processes, server off`,
    measured: `CPU ${sum.toFixed(0)} ms a minute (most: ${busiest?.[0]} ${busiest?.[1].toFixed(0)}); ${mib(bytes)}`,
    target: '',
    peer: '',
    numbers: { cpuMsPerMinute: sum, bytes },
  };
}

const row = (what: string, measured: readonly number[], target: string): Row => ({
  what,
  measured: spread(measured, 'ms'),
  target,
  peer: '',
  numbers: { ms: quantile(measured, 0.5) },
});

for (let turn = 0; turn < times; turn += 1) {
  const stateDir = mkdtempSync(join(tmpdir(), 'vdpu-'));
  try {
    await timed(ups, () => up({ stateDir, log: note }));
    await timed(mends, () => up({ stateDir }));
    idle ??= await measureIdle(stateDir);
  } finally {
    await timed(downs, () => down({ stateDir }));
    rmSync(stateDir, { recursive: true, force: true });
  }
}
const rows = [
  row('`up`, from nothing to the BMC answering', ups, '5000 ms'),
  ...[...parts].map(([part, measured]) => row(`of it, beside each other: ${part}`, measured, '')),
  row('`up` where all of it runs', mends, ''),
  row('`down`', downs, ''),
  ...(idle === undefined ? [] : [idle]),
];
console.log(tableOf(rows));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
