import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { DpuError } from '../core/errors.ts';
import { nameOf } from './paths.ts';

/** How long another `up` or `down` on the same state directory may take. */
const WAIT_MS = 120_000;

/**
 * Runs `work` while nobody else does on this state directory (its real path). The lock is an abstract unix socket (unix(7)), which the kernel
 * takes back from a process that dies.
 * @throws DpuError `busy` after two minutes.
 */
export async function withStateLock<T>(stateDir: string, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + WAIT_MS;
  let release = await take(stateDir);
  while (release === undefined) {
    if (performance.now() > deadline) throw new DpuError('busy', `another process works on ${stateDir}`);
    await sleep(50);
    release = await take(stateDir);
  }
  try {
    return await work();
  } finally {
    release();
  }
}

async function take(stateDir: string): Promise<(() => void) | undefined> {
  const server = createServer((stranger) => stranger.destroy());
  server.listen(`\0dpu-compute/${nameOf(stateDir)}`);
  try {
    await once(server, 'listening');
    return () => server.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
}
