/**
 * Measures snic-controller as it ships, with the simulated card: `node test/bench/snic-controller.ts [--dist BUILD] [--idle SECONDS]`. Without
 * `--dist` it builds `dist/` first. It never fails because something is slow.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../../kit/clock.ts';
import { createRpcClient } from '../../kit/json-rpc/client.ts';
import { controllerNodeFlags } from '../../tools/daemon-flags.ts';
import { cpuMsOf, memoryOf } from './procfs.ts';
import { mib, quantile, type Row, spread, tableOf } from './report.ts';

const root = join(import.meta.dirname, '../..');
const { values } = parseArgs({ options: { dist: { type: 'string' }, idle: { type: 'string', default: '60' } } });
if (values.dist === undefined) {
  execFileSync(process.execPath, [join(root, 'tools/build.ts')], { cwd: root, stdio: 'inherit' });
}
const dist = values.dist === undefined ? join(root, 'dist') : resolve(values.dist);
const idleMs = Number(values.idle) * 1000;
const dir = mkdtempSync(join(tmpdir(), 'bench-snic-'));
const file = join(dir, 'snic.yaml');
writeFileSync(file, 'state_dir: state\nsocket: { path: snic.sock }\nbackend: { kind: sim, sim: { functions: 64 } }\n');
const began = performance.now();
const child = spawn(
  process.execPath,
  [...controllerNodeFlags, join(dist, 'snic-controller/main.js'), '--config', file],
  {
    stdio: ['ignore', 'ignore', 'pipe'],
  },
);
const exited = once(child, 'exit');
const client = createRpcClient({
  path: join(dir, 'snic.sock'),
  peer: 'snic-controller',
  clock: systemClock,
  timeoutMs: 10_000,
});
try {
  const { pid = 0 } = child;
  await Promise.race([
    once(child.stderr, 'data'),
    exited.then(([code]) => Promise.reject(new Error(`snic-controller ended with ${code}`))),
  ]);
  const readyMs = performance.now() - began;
  const rows: Row[] = [];
  const add = (what: string, measured: string, target: string, numbers: Row['numbers']): void => {
    rows.push({ what, measured, target, peer: '', numbers });
  };
  add('Start to listening', `${readyMs.toFixed(0)} ms; CPU ${cpuMsOf(pid).toFixed(0)} ms`, '', { readyMs });
  const size = (): string => {
    const { rss, anonymous } = memoryOf(pid);
    return `${mib(rss)}, of it its own ${mib(anonymous)}`;
  };
  await sleep(2000);
  add('Resident memory, just started', size(), '60 MiB', { ...memoryOf(pid) });
  const turns: number[] = [];
  const kept = 16;
  const calls = 300;
  for (let turn = 0; turn < calls; turn += 1) {
    const id = `fn-${turn}`;
    const at = performance.now();
    await client.call('create_pf', { id });
    turns.push(performance.now() - at);
    if (turn < kept) continue;
    await client.call('unplug_function', { id });
    await client.call('delete_pf', { id });
  }
  add('create_pf, made and plugged (six commits)', spread(turns, 'ms'), '', { median: quantile(turns, 0.5) });
  client.close();
  await sleep(5000);
  const what = `Resident memory, idle after ${calls} functions came, and all but ${kept} went`;
  add(what, size(), '60 MiB', { ...memoryOf(pid) });
  const before = cpuMsOf(pid);
  await sleep(idleMs);
  const cpu = ((cpuMsOf(pid) - before) * 60_000) / idleMs;
  add('CPU per idle minute', `${cpu.toFixed(0)} ms`, '100 ms', { cpu });
  console.log(`Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1)}\n\n${tableOf(rows)}`);
} finally {
  child.kill('SIGTERM');
  await exited;
  rmSync(dir, { recursive: true, force: true });
}
