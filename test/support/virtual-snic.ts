import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { VirtualHost } from './virtual-host.ts';

const main = fileURLToPath(new URL('../../snic-controller/main.ts', import.meta.url));

/** snic-controller as a process of its own, with the virtual backend on a test's host. */
export interface VirtualSnic {
  readonly socket: string;
  /** What it logged so far. */
  log(): string;
  /** Ends when it has ended. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts it on the state that is there, and ends when it listens. */
  start(): Promise<void>;
}

/** Starts it; its state is in the host's directory. */
export async function startVirtualSnic(lab: VirtualHost): Promise<VirtualSnic> {
  const front = lab.storage.front('nbd');
  if (front.kind !== 'nbd') throw new Error('nbd is wanted');
  const config = join(lab.dir, 'snic.yaml');
  const socket = join(lab.dir, 'snic.sock');
  const virtual = { qmp: lab.host.qmp.snic, front: { kind: 'nbd', path: front.socket }, netns: lab.netns };
  // JSON is YAML
  await writeFile(
    config,
    JSON.stringify({ state_dir: 'snic', socket: { path: socket }, backend: { kind: 'virtual', virtual } }),
  );
  let child: ChildProcess | undefined;
  let said = '';
  const start = async (): Promise<void> => {
    const from = said.length;
    const started = spawn(process.execPath, [main, '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    const listens = Promise.withResolvers<void>();
    started.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.slice(from).includes('snic-controller listens')) listens.resolve();
    });
    started.once('error', listens.reject);
    started.once('exit', (code) => listens.reject(new Error(`it ended with ${code}: ${said.slice(from)}`)));
    await listens.promise;
  };
  await start();
  return {
    socket,
    log: () => said,
    kill: async (signal) => {
      const last = child;
      if (!last || last.exitCode !== null || last.signalCode !== null) return;
      const gone = once(last, 'exit');
      last.kill(signal);
      await gone;
    },
    start,
  };
}
