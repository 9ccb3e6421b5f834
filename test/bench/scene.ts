/** What every measure plays on: the built daemon in a directory of its own, on one core, and a broker beside it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createClient } from '../../soc-daemon/cli/client.ts';
import { daemonNodeFlags } from '../../tools/daemon-flags.ts';
import { cpuMsOf } from './procfs.ts';

const root = join(import.meta.dirname, '../..');
const READY_MS = 60_000;
const POLL_MS = 5;

/** Names of the node that the benchmarks build on. */
export const names = {
  hostname: 'bench-node',
  exchange: 'dpu',
  flavor: '4c8g',
  subnet: 'net1',
  image: 'demo',
} as const;

/** Where things are. */
export interface Scene {
  /** The build that is measured. */
  readonly dist: string;
  /** For everything that is written. */
  readonly dir: string;
  readonly transportUrl: string;
  /** Node's flags for the daemon. */
  readonly flags: readonly string[];
}

/** A daemon that runs. */
export interface Running {
  readonly pid: number;
  readonly socket: string;
  /** From the start of the process until it said that it is ready, in ms. */
  readonly readyMs: number;
  /** CPU time of all its threads until then, in ms. */
  readonly readyCpuMs: number;
  stop(): Promise<void>;
}

/** Makes the scene with a build that is there, or else with what ships now, which it builds. */
export function makeScene(dir: string, transportUrl: string, dist?: string): Scene {
  const scene = { dir, transportUrl, flags: daemonNodeFlags };
  if (dist !== undefined) return { ...scene, dist: resolve(dist) };
  execFileSync(process.execPath, [join(root, 'tools/build.ts')], { cwd: root, stdio: 'inherit' });
  return { ...scene, dist: join(root, 'dist') };
}

/** A command on one core, the first; without `taskset` on all. */
export function onOneCore(program: string, args: readonly string[]): readonly [string, readonly string[]] {
  return oneCore ? ['taskset', ['-c', '0', program, ...args]] : [program, args];
}

/** Whether processes can be held on one core. */
export const oneCore = works('taskset', ['-c', '0', 'true']);

/** Whether a program is there and ends well. */
export function works(program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false; // that is the answer
  }
}

/** Starts the daemon on one core and waits until it is ready. `state`: name of its directory; one that is there is taken up again. */
export async function startDaemon(scene: Scene, state: string): Promise<Running> {
  const dir = join(scene.dir, state);
  const socket = join(dir, 'rest.sock');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const config = writeConfig(scene, dir, socket);
  const log = join(dir, 'soc-daemon.log');
  const output = openSync(log, 'a', 0o600);
  const program = [...scene.flags, join(scene.dist, 'soc-daemon/main.js'), '--config', config];
  const [command, args] = onOneCore(process.execPath, program);
  const begun = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', output, output] });
  closeSync(output);
  const ended = once(child, 'exit');
  await ready(child, socket, log);
  const pid = child.pid ?? 0;
  return {
    pid,
    socket,
    readyMs: performance.now() - begun,
    readyCpuMs: cpuMsOf(pid),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function writeConfig(scene: Scene, dir: string, socket: string): string {
  const urlFile = join(dir, 'transport-url');
  writeFileSync(urlFile, `${scene.transportUrl}\n`, { mode: 0o600 });
  const file = join(dir, 'soc-daemon.yaml');
  const config = {
    profile: 'sim',
    node: { hostname: names.hostname },
    state_dir: dir,
    amqp: { transport_url_file: urlFile, exchange: names.exchange },
    rest: { socket, socket_mode: '0600', requests_per_second: 10_000 },
    catalogue: {
      flavors: { [names.flavor]: { vcpus: 4, memory_mib: 8192 } },
      subnets: { [names.subnet]: { cidr: '10.0.0.0/24' } },
    },
    sim: { latency_ms: 0, images: { [names.image]: { size_bytes: 1024 ** 3 } } },
    log: { level: 'warn' },
  };
  writeFileSync(file, stringify(config));
  return file;
}

async function ready(child: ChildProcess, socket: string, log: string): Promise<void> {
  const client = createClient({ socket });
  const deadline = performance.now() + READY_MS;
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const { status } = await client.askAny('GET', '/readyz').catch(() => ({ status: 0 })); // not listening yet
    if (status === 200) return;
    await sleep(POLL_MS);
  }
  child.kill('SIGKILL');
  throw new Error(`the daemon is not ready:\n${readFileSync(log, 'utf8').slice(-2000)}`);
}
