/** The platform of the RPC tests: stock oslo.messaging in Python programs of this folder. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findRabbitServer } from '../../../tools/rabbitmq.ts';

const python = '/usr/bin/python3';
const folder = fileURLToPath(new URL('.', import.meta.url));

/** Whether RabbitMQ and python3-oslo.messaging are there; with CI set their absence is a failure and no reason to skip. */
export function haveStock(): boolean {
  const missing = [
    ...(findRabbitServer() === undefined ? ['rabbitmq-server'] : []),
    ...(haveOslo() ? [] : ['python3-oslo.messaging']),
  ];
  if (missing.length === 0) return true;
  if (process.env.CI) throw new Error(`these tests need the Debian packages ${missing.join(', ')}`);
  process.stderr.write(`RPC tests skipped, not installed: ${missing.join(', ')}\n`);
  return false;
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

type Json = Readonly<Record<string, unknown>>;

interface PythonProgram {
  readonly child: ChildProcessWithoutNullStreams;
  stop(): Promise<void>;
}

async function startPython(script: string, start: Json, onLine: (line: Json) => void): Promise<PythonProgram> {
  const child = spawn(python, ['-W', 'ignore', `${folder}${script}`], {
    env: { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' },
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  const ready = Promise.withResolvers<void>();
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      ready.reject(new Error(`${script} ended: ${errors}`));
      resolve();
    });
  });
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Json;
    if ('ready' in line) ready.resolve();
    else onLine(line);
  });
  child.stdin.write(`${JSON.stringify(start)}\n`);
  await ready.promise;
  return {
    child,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

/** A remote exception as the Python caller has it: re-created from `dpu_compute.errors`, or oslo's own `RemoteError`. */
export interface RemoteFailure {
  readonly class: string;
  /** The class that it was re-created from, with its module. */
  readonly base: string;
  readonly text: string;
  /** Of oslo's `RemoteError`: what the server called it. */
  readonly exc_type: string | null;
  readonly code: string | null;
  readonly field: string | null;
  readonly details: Json | null;
}

/** What a call came to. */
export interface Answer<Result = unknown> {
  readonly result?: Result;
  readonly error?: RemoteFailure;
}

/** How a call is made. */
export interface CallOptions {
  readonly kind?: 'call' | 'cast';
  /** Arguments of `RPCClient.prepare`: server, fanout, version, timeout, call_monitor_timeout. */
  readonly prepare?: Json;
}

/** A Python program that calls the node. */
export interface PlatformClient {
  ask<Result = unknown>(method: string, args?: Json, options?: CallOptions): Promise<Answer<Result>>;
  /** The result. @throws Error with the failure's text. */
  call<Result = unknown>(method: string, args?: Json, options?: CallOptions): Promise<Result>;
  /** The failure. @throws Error when there is none. */
  fail(method: string, args?: Json, options?: CallOptions): Promise<RemoteFailure>;
  /** Resolves once the node answers and is ready: calls before its queues are declared have nowhere to go. */
  reachesNode(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one; `hostname` is the server that calls go to unless told. */
export async function startClient(url: string, hostname: string, exchange = 'dpu'): Promise<PlatformClient> {
  const waiting = new Map<unknown, (answer: Answer) => void>();
  const program = await startPython('rpc_client.py', { url, exchange }, (line) => {
    waiting.get(line.id)?.(line as Answer);
    waiting.delete(line.id);
  });
  program.child.once('exit', () => {
    const error = { class: 'Ended', base: '', text: 'the client ended', exc_type: null, code: null } as const;
    for (const tell of waiting.values()) tell({ error: { ...error, field: null, details: null } });
  });
  const client: PlatformClient = {
    ask(method, args = {}, { kind = 'call', prepare = {} } = {}) {
      const id = crypto.randomUUID();
      const answered = Promise.withResolvers<Answer>();
      waiting.set(id, answered.resolve);
      const command = { id, kind, method, args, prepare: { server: hostname, timeout: 25, ...prepare } };
      program.child.stdin.write(`${JSON.stringify(command)}\n`);
      return answered.promise as Promise<Answer<never>>;
    },
    async call(method, args, options) {
      const { result, error } = await client.ask(method, args, options);
      if (error) throw new Error(`${method}: ${error.class}: ${error.text}`);
      return result as never;
    },
    async fail(method, args, options) {
      const { error, result } = await client.ask(method, args, options);
      if (!error) throw new Error(`${method} did not fail: ${JSON.stringify(result)}`);
      return error;
    },
    async reachesNode() {
      for (let tries = 0; tries < 60; tries += 1) {
        const { result } = await client.ask<Json>('report_node_status', {}, { prepare: { timeout: 2 } });
        if (result?.ready === true) return;
        if (result !== undefined) await sleep(100);
      }
      throw new Error('the node does not answer');
    },
    stop: program.stop,
  };
  return client;
}

/** A cast as the platform got it. */
export interface Report {
  readonly method: 'report_node_status' | 'report_instance_status';
  readonly args: Json;
}

/** A Python RPC server on the platform's topic. */
export interface PlatformServer {
  /** Everything that came, in order. */
  readonly reports: readonly Report[];
  stop(): Promise<void>;
}

/** Starts one; it consumes when the promise resolves. */
export async function startServer(url: string, exchange = 'dpu'): Promise<PlatformServer> {
  const reports: Report[] = [];
  const program = await startPython('rpc_server.py', { url, exchange }, (line) => {
    reports.push(line as unknown as Report);
  });
  return { reports, stop: program.stop };
}
