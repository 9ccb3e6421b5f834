import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSimCard, type SimCard } from '../../snic-controller/backends/sim/card.ts';

const main = fileURLToPath(new URL('../../snic-controller/main.ts', import.meta.url));

/** snic-controller as a process of its own, with a simulated card that tests reach from outside. */
export interface SnicProgram {
  readonly folder: string;
  readonly socket: string;
  readonly card: SimCard;
  readonly pid: number;
  /** What it logged so far. */
  log(): string;
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  /** Starts it again on the same state. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it, its host off. */
export async function startSnicProgram(
  config: { readonly functions?: number; readonly socket?: string } = {},
): Promise<SnicProgram> {
  const folder = mkdtempSync(join(tmpdir(), 'snic-'));
  const socket = join(folder, 'snic.sock');
  const file = join(folder, 'snic.yaml');
  const { functions = 6, socket: settings = '' } = config;
  writeFileSync(
    file,
    `state_dir: state\nsocket: { path: snic.sock${settings} }\nbackend: { kind: sim, sim: { functions: ${functions}, host_power: "off" } }\n`,
  );
  let child: ChildProcess | undefined;
  let said = '';
  const kill = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  };
  const start = async (): Promise<void> => {
    const before = said.length;
    const started = spawn(process.execPath, [main, '--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    await new Promise<void>((resolve, reject) => {
      started.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.slice(before).includes('snic-controller listens')) resolve();
      });
      started.once('error', reject);
      started.once('exit', (code) => reject(new Error(`snic-controller ended with ${code}: ${said.slice(before)}`)));
    });
  };
  await start();
  const card = openSimCard(join(folder, 'state/card.db'));
  return {
    folder,
    socket,
    card,
    get pid() {
      return child?.pid ?? 0;
    },
    log: () => said,
    kill,
    start,
    close: async () => {
      await kill('SIGKILL');
      card.close();
      if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    },
  };
}
