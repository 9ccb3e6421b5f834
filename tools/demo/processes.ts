/** The demo's own processes: recorded with their start times, so that a pid with a new owner is never ended. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Layout } from './layout.ts';
import { writePrivately } from './layout.ts';

/** A program of the demo. */
export type ProgramName = 'soc-daemon' | 'rabbitmq';

/** A process as it was started. */
export interface ProcessRecord {
  readonly pid: number;
  /** Its start time in ticks since boot (proc(5), stat field 22). */
  readonly started: string;
}

/** What was started in a state directory. */
export type Processes = Partial<Readonly<Record<ProgramName, ProcessRecord>>>;

/** The order in which they are ended: the daemon says goodbye to a broker that is still there. */
export const PROGRAMS: readonly ProgramName[] = ['soc-daemon', 'rabbitmq'];

/** The start time of a living process; undefined when there is none. */
export function startTime(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined; // the process is gone: that is the answer
  }
}

/** Whether the process lives and still is the one that was started. */
export function isAlive(record: ProcessRecord | undefined): record is ProcessRecord {
  return record !== undefined && startTime(record.pid) === record.started;
}

/** What was recorded in a state directory, dead or alive. */
export async function readProcesses(layout: Layout): Promise<Processes> {
  try {
    return JSON.parse(await readFile(layout.processFile, 'utf8')) as Processes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/** Adds a process that was just started to the record. */
export async function recordProcess(layout: Layout, name: ProgramName, pid: number): Promise<ProcessRecord> {
  const record = { pid, started: startTime(pid) ?? 'gone' };
  await writePrivately(layout.processFile, `${JSON.stringify({ ...(await readProcesses(layout)), [name]: record })}\n`);
  return record;
}

/** Asks the process to end, and kills it when it has not after `ms`; returns when it is gone. A stranger is left alone. */
export async function endProcess(record: ProcessRecord, ms = 20_000): Promise<void> {
  let signal: NodeJS.Signals = 'SIGTERM';
  let sent: NodeJS.Signals | undefined;
  const begun = performance.now();
  while (isAlive(record)) {
    if (sent !== signal) process.kill(record.pid, signal);
    sent = signal;
    await sleep(20);
    if (performance.now() - begun > ms) signal = 'SIGKILL';
    if (performance.now() - begun > 2 * ms) throw new Error(`process ${record.pid} does not end`);
  }
}
