/** Finds and ends the processes that a run began, wherever they have gone: by a mark in their environment. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTime } from './lock.mjs';

/** The environment variable that carries the id of a run to all of its processes. */
export const MARK = 'DPU_COMPUTE_RUN';

/** The living processes whose environment has the mark `id`, other than this one: pid, start time and command line. */
export function markedProcesses(id) {
  const found = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const environment = readProc(name, 'environ').split('\0');
    if (!environment.includes(`${MARK}=${id}`)) continue;
    const started = startTime(name);
    if (started === undefined) continue; // a zombie, or gone by now
    found.push({ pid: Number(name), started, command: readProc(name, 'cmdline').replaceAll('\0', ' ').trim() });
  }
  return found;
}

/** Waits up to `ms` for the marked processes to end by themselves; returns those that did not. */
export async function waitForMarked(id, ms) {
  const deadline = performance.now() + ms;
  let left = markedProcesses(id);
  while (left.length > 0 && performance.now() < deadline) {
    await sleep(50);
    left = markedProcesses(id);
  }
  return left;
}

/** Ends the marked processes: SIGTERM, then SIGKILL for what is left after two seconds. Returns what it found at first. */
export async function endMarked(id) {
  const found = markedProcesses(id);
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    for (const each of markedProcesses(id)) send(each, signal);
    if ((await waitForMarked(id, 2000)).length === 0) break;
  }
  return found;
}

function send({ pid, started }, signal) {
  if (startTime(pid) !== started) return; // the pid has a new owner
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function readProc(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return ''; // gone, or another user's: not ours to look at
  }
}
