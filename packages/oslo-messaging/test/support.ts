import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findRabbitServer } from '../../../tools/rabbitmq.ts';

const python = '/usr/bin/python3';
const scripts = fileURLToPath(new URL('./python', import.meta.url));

/** Whether RabbitMQ and python3-oslo.messaging are installed. With CI set, their absence is a failure and not a reason to skip. */
export function haveStock(): boolean {
  const missing = [
    ...(findRabbitServer() === undefined ? ['rabbitmq-server'] : []),
    ...(haveOslo() ? [] : ['python3-oslo.messaging']),
  ];
  if (missing.length > 0 && process.env.CI)
    throw new Error(`contract tests need the Debian packages ${missing.join(', ')}`);
  if (missing.length > 0) process.stderr.write(`contract tests skipped, not installed: ${missing.join(', ')}\n`);
  return missing.length === 0;
}

function haveOslo(): boolean {
  if (!existsSync(python)) return false;
  try {
    execFileSync(python, ['-c', 'import oslo_messaging'], { stdio: 'ignore', timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}

export type Line = Readonly<Record<string, unknown>>;

/** A Python program that speaks JSON lines. */
export type Peer = {
  write(text: string): void;
  /** The first line, past or to come, that has `key`; it is taken out. Fails when the program ends. */
  line(key: string, value?: unknown): Promise<Line>;
  stop(): Promise<void>;
};

/** Starts a script of ./python and waits until it is ready. */
export async function startPeer(script: string, start: Line): Promise<Peer> {
  const child = spawn(python, ['-W', 'ignore', `${scripts}/${script}`], { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = Promise.withResolvers<void>();
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  const lines: Line[] = [];
  const wanted = new Set<() => void>();
  let over = false;
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as Line);
    for (const look of wanted) look();
  });
  child.once('exit', () => {
    over = true;
    for (const look of wanted) look();
    exited.resolve();
  });
  const peer: Peer = {
    write: (text) => void child.stdin.write(`${text}\n`),
    line(key, value) {
      const { promise, resolve, reject } = Promise.withResolvers<Line>();
      const look = () => {
        const at = lines.findIndex((line) => key in line && (value === undefined || line[key] === value));
        if (at < 0 && !over) return;
        wanted.delete(look);
        const [found] = at < 0 ? [] : lines.splice(at, 1);
        if (found === undefined) reject(new Error(`${script} ended: ${errors}`));
        else resolve(found);
      };
      wanted.add(look);
      look();
      return promise;
    },
    async stop() {
      if (!over) child.kill('SIGKILL');
      await exited.promise;
    },
  };
  peer.write(JSON.stringify({ ...start, module_path: scripts }));
  await peer.line('ready');
  return peer;
}

/** Stock oslo.messaging's answer to one call or cast. */
export async function ask(peer: Peer, command: Line): Promise<{ result?: unknown; error?: Line }> {
  const id = crypto.randomUUID();
  peer.write(JSON.stringify({ id, kind: 'call', ...command }));
  return (await peer.line('id', id)) as { result?: unknown; error?: Line };
}

/** A promise, and the functions to settle it, for telling a test that a handler got somewhere. */
export function gate<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}
