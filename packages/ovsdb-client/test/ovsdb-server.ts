import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

/** Open vSwitch's own schema, as its Debian package installs it. */
export const VSWITCH_SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** Whether ovsdb-server and ovs-vsctl are installed. With CI set, their absence is a failure and not a reason to skip. */
export function haveOvsdb(): boolean {
  if (existsSync(VSWITCH_SCHEMA) && runs('ovsdb-server') && runs('ovs-vsctl')) return true;
  const text = 'tests against ovsdb-server need the Debian package openvswitch-switch';
  if (process.env.CI) throw new Error(text);
  process.stderr.write(`skipped: ${text}\n`);
  return false;
}

function runs(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

/** A private server with the Open_vSwitch schema on a unix socket of its own. */
export type TestServer = {
  readonly dir: string;
  /** `unix:…` */
  readonly address: string;
  readonly pid: number;
  /** Ends the server and leaves its data. */
  down(): Promise<void>;
  /** Starts it again on the same socket; `wipe` with an empty database. */
  up(options?: { readonly wipe?: boolean }): Promise<void>;
  /** ovs-vsctl --no-wait with these arguments; its output. */
  vsctl(...args: string[]): Promise<string>;
  /** ovs-appctl with these arguments; its output. */
  appctl(...args: string[]): Promise<string>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
};

/** How to start a server. */
export type ServerOptions = {
  /** A member of a cluster of one, which tells transaction ids, where a standalone one does not. */
  readonly clustered?: boolean;
  readonly schema?: string;
  /** More arguments, for example a TLS remote. */
  readonly args?: (dir: string) => readonly string[];
};

const run = promisify(execFile);

/** Starts a server; ready to be connected to when it returns. It is killed when the test process ends. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const dir = await mkdtemp(path.join(tmpdir(), 'ovsdb-'));
  const db = path.join(dir, 'conf.db');
  const socket = path.join(dir, 'db.sock');
  const control = path.join(dir, 'ctl.sock');
  const env = { ...process.env, OVS_RUNDIR: dir, OVS_DBDIR: dir };
  const schema = options.schema ?? VSWITCH_SCHEMA;
  let child: ReturnType<typeof spawn> | undefined;
  let exited: Promise<void> = Promise.resolve();

  const create = async () => {
    await rm(db, { force: true });
    const how = options.clustered ? ['create-cluster', db, schema, `unix:${dir}/raft.sock`] : ['create', db, schema];
    await run('ovsdb-tool', how, { env, timeout: 20_000 });
  };
  const killAtExit = () => void child?.kill('SIGKILL');

  const appctl = async (...args: string[]) =>
    (await run('ovs-appctl', ['-t', control, ...args], { env, timeout: 20_000 })).stdout;

  const up = async ({ wipe = false } = {}) => {
    if (wipe) await create();
    const args = [db, `--remote=punix:${socket}`, `--unixctl=${control}`, '--no-chdir', ...(options.args?.(dir) ?? [])];
    const started = spawn('ovsdb-server', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    started.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4000);
    });
    const gone = Promise.withResolvers<void>();
    started.once('exit', () => gone.resolve());
    started.once('error', () => gone.resolve());
    exited = gone.promise;
    child = started;
    // ovsdb-client connects, and waits until a clustered database has found its leader.
    const wait = run('ovsdb-client', ['wait', `unix:${socket}`, 'Open_vSwitch', 'connected'], { env, timeout: 30_000 });
    const first = await Promise.race([wait.then(() => 'ready'), gone.promise.then(() => 'gone')]);
    if (first === 'gone') {
      wait.catch(() => undefined);
      throw new Error(`ovsdb-server ended at once: ${log}`);
    }
  };
  const down = async () => {
    child?.kill('SIGTERM');
    await exited;
    child = undefined;
    await rm(socket, { force: true });
  };

  process.once('exit', killAtExit);
  await create();
  await up();
  return {
    dir,
    address: `unix:${socket}`,
    get pid() {
      return child?.pid ?? 0;
    },
    down,
    up,
    vsctl: async (...args) =>
      (await run('ovs-vsctl', [`--db=unix:${socket}`, '--no-wait', ...args], { env, timeout: 20_000 })).stdout,
    appctl,
    async stop() {
      child?.kill('SIGKILL');
      await exited;
      process.off('exit', killAtExit);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
