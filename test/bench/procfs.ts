/** A process as the kernel sees it (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs';

/** Memory of a process, in bytes. */
export interface Memory {
  /** Resident: pages of its own, and those of files that it maps. */
  readonly rss: number;
  /** The part that is its own: heaps and stacks. */
  readonly anonymous: number;
}

/** Its memory now. */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024;
  return { rss: bytes('VmRSS'), anonymous: bytes('RssAnon') };
}

/** CPU time of all its threads so far, in ms. A thread that ended is not counted: the daemon's live as long as it does. */
export function cpuMsOf(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // the thread ended between the two calls
    }
  }
  return ns / 1e6;
}
