import { setTimeout as sleep } from 'node:timers/promises';
import { settledMs } from '../../kit/program.ts';
import { connectPlatform, type Platform } from './platform.ts';
import { cpuMsOf, type Memory, memoryOf } from './procfs.ts';
import { mib, type Row } from './report.ts';
import { type Running, type Scene, startDaemon } from './scene.ts';

/** How long a run is. */
export interface Lengths {
  /** Operations after which the node counts as used, and at the end. */
  readonly used: number;
  readonly all: number;
  readonly idleMs: number;
}

/** Time for what an operation leaves behind: reports, garbage. */
const SETTLE_MS = 5000;

/** Memory and CPU of one daemon: idle, then over build and destroy cycles through AMQP on simulated hardware, then idle again. */
export async function measureOperations(scene: Scene, lengths: Lengths): Promise<readonly Row[]> {
  const { used: usedAt, all, idleMs } = lengths;
  const platform = await connectPlatform(scene.transportUrl);
  const daemon = await startDaemon(scene, 'operations');
  try {
    await sleep(settledMs + SETTLE_MS); // what the start needed alone is collected by then
    const cpuBefore = cpuMsOf(daemon.pid);
    await sleep(idleMs);
    const idleCpu = ((cpuMsOf(daemon.pid) - cpuBefore) * 60_000) / idleMs;
    const idle = memoryOf(daemon.pid);
    const first = await cycles(daemon, platform, usedAt / 2);
    const used = await settled(daemon);
    const rest = await cycles(daemon, platform, (all - usedAt) / 2);
    const end = await settled(daemon);
    const buildMs = (first.buildCpuMs + rest.buildCpuMs) / (all / 2);
    const operationMs = (first.cpuMs + rest.cpuMs) / all;
    const perSecond = all / (first.seconds + rest.seconds);
    return [
      memoryRow('Resident memory, idle, broker connected', idle, '90 MiB', novaMemory),
      memoryRow(`Resident memory after ${usedAt} operations`, used, '', ''),
      {
        what: `Its growth from there to ${all} operations`,
        measured: `${mib(end.rss - used.rss)}, of it its own ${mib(end.anonymous - used.anonymous)}`,
        target: 'none',
        peer: '',
        numbers: { rss: end.rss, growth: end.rss - used.rss, growthAnonymous: end.anonymous - used.anonymous },
      },
      {
        what: 'CPU per idle minute',
        measured: `${idleCpu.toFixed(0)} ms`,
        target: '',
        peer: '',
        numbers: { ms: idleCpu },
      },
      {
        what: 'Operations through AMQP, one after the other',
        measured: `${perSecond.toFixed(0)} a second`,
        target: '',
        peer: '',
        numbers: { perSecond, reports: platform.reports() },
      },
      {
        what: 'CPU per build; per operation with its reports',
        measured: `${buildMs.toFixed(1)} ms; ${operationMs.toFixed(1)} ms`,
        target: '',
        peer: 'nova-compute, fake driver: 100 to 150 ms a build (known figure, not measured here)',
        numbers: { buildMs, operationMs },
      },
    ];
  } finally {
    await platform.close();
    await daemon.stop();
  }
}

const novaMemory = 'nova-compute, fake driver: 155 MiB (known figure, not measured here)';

interface Spent {
  readonly seconds: number;
  readonly cpuMs: number;
  readonly buildCpuMs: number;
}

/** A node for bare metal has one host: one instance at a time. */
async function cycles({ pid }: Running, platform: Platform, count: number): Promise<Spent> {
  const begun = performance.now();
  const cpuBefore = cpuMsOf(pid);
  let buildCpuMs = 0;
  for (let turn = 0; turn < count; turn += 1) {
    const before = cpuMsOf(pid);
    const uuid = await platform.build();
    buildCpuMs += cpuMsOf(pid) - before;
    await platform.destroy(uuid);
  }
  return { seconds: (performance.now() - begun) / 1000, cpuMs: cpuMsOf(pid) - cpuBefore, buildCpuMs };
}

async function settled({ pid }: Running): Promise<Memory> {
  await sleep(SETTLE_MS);
  return memoryOf(pid);
}

function memoryRow(what: string, memory: Memory, target: string, peer: string): Row {
  const { rss, anonymous } = memory;
  return { what, measured: `${mib(rss)}, of it its own ${mib(anonymous)}`, target, peer, numbers: { rss, anonymous } };
}
