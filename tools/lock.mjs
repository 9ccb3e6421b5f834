/** A lock that is a file with the holder's process id and start time; the lock of a process that is gone counts for nothing. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The start time of a process in ticks since boot (`proc(5)`, stat field 22), or undefined when there is none. */
export function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined; // the process is gone: that is the answer
  }
}

/** Runs `work` while this process alone holds the lock `path`; waits as long as the holder lives. */
export async function withLock(path, work, onWait = () => {}) {
  mkdirSync(dirname(path), { recursive: true });
  let told = false;
  while (!tryLock(path)) {
    if (!told) onWait();
    told = true;
    await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path) {
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, `${process.pid} ${startTime(process.pid)}\n`);
  try {
    linkSync(mine, path); // unlike open and write, the name appears with its content
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (!heldByLiving(path)) rmSync(path, { force: true });
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

function heldByLiving(path) {
  try {
    const [pid, started] = readFileSync(path, 'utf8').trim().split(' ');
    return startTime(pid) === started;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}
