import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import type { SocDaemonConfig } from '../../schemas/generated/config.ts';
import { DemoError } from './demo-error.ts';

/** Where things are in a state directory. */
export interface Layout {
  readonly dir: string;
  /** What an outside program needs to drive the node; there only while the demo is kept. */
  readonly demoFile: string;
  /** Says that the directory is a demo's. */
  readonly markFile: string;
  /** Pids with their start times. */
  readonly processFile: string;
  /** Held by a running demo. */
  readonly lockFile: string;
  readonly config: string;
  readonly transportUrl: string;
  readonly broker: string;
  /** The daemon's store, and the simulated hardware. */
  readonly state: string;
  readonly socket: string;
  readonly logs: string;
  readonly daemonLog: string;
}

/** Names of the demo's node that a build accepts. */
export const NODE = {
  hostname: 'demo-node',
  exchange: 'dpu',
  image: 'demo',
  flavor: '4c8g',
  subnet: 'net1',
  volume: 'demo-data',
} as const;

/** How long each call to the simulated hardware takes: a build is then some three seconds to watch. */
const LATENCY_MS = 250;

/** The paths of a state directory. A path too long for a unix socket gets one beneath the system's temporary directory. */
export function layoutOf(dir: string): Layout {
  const short = `dpu-demo-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`;
  const socket = join(dir, 'rest.sock');
  return {
    dir,
    demoFile: join(dir, 'demo.json'),
    markFile: join(dir, '.dpu-compute-demo'),
    processFile: join(dir, 'processes.json'),
    lockFile: join(dir, 'demo.lock'),
    config: join(dir, 'soc-daemon.yaml'),
    transportUrl: join(dir, 'transport-url'),
    broker: join(dir, 'broker'),
    state: join(dir, 'state'),
    socket: Buffer.byteLength(socket) <= 100 ? socket : join(tmpdir(), short, 'rest.sock'),
    logs: join(dir, 'logs'),
    daemonLog: join(dir, 'logs/soc-daemon.log'),
  };
}

/** Whether an earlier demo had this directory; a new or empty one is nobody's. @throws DemoError where it is something else's */
export async function isDemoDirectory(layout: Layout): Promise<boolean> {
  if (existsSync(layout.markFile)) return true;
  const lock = basename(layout.lockFile);
  const others = existsSync(layout.dir) ? (await readdir(layout.dir)).filter((name) => !name.startsWith(lock)) : [];
  if (others.length === 0) return false;
  throw new DemoError(`${layout.dir} holds something else than a demo: name a new or empty directory with --state DIR`);
}

/** Makes the directories, for our eyes only. @throws DemoError where one belongs to somebody else */
export async function makeDirectories(layout: Layout): Promise<void> {
  for (const dir of [layout.dir, layout.state, layout.logs, join(layout.socket, '..')]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    if ((await stat(dir)).uid !== process.getuid?.()) throw new DemoError(`${dir} belongs to another user`);
  }
  await writePrivately(layout.markFile, 'The state of a demo of dpu-compute; `npm run demo -- --help`.\n');
}

/** Writes the daemon's configuration; without a transport URL it gets no broker. */
export async function writeConfig(layout: Layout, transportUrl: string | null): Promise<void> {
  const config: SocDaemonConfig = {
    profile: 'sim',
    node: { hostname: NODE.hostname },
    state_dir: layout.state,
    ...(transportUrl === null ? {} : { amqp: { transport_url_file: layout.transportUrl, exchange: NODE.exchange } }),
    rest: { socket: layout.socket, socket_mode: '0600' },
    catalogue: {
      flavors: { [NODE.flavor]: { vcpus: 4, memory_mib: 8192 } },
      subnets: { [NODE.subnet]: { cidr: '10.0.0.0/24' } },
    },
    sim: {
      latency_ms: LATENCY_MS,
      images: { [NODE.image]: { size_bytes: 1024 ** 3 } },
      volumes: { [NODE.volume]: { size_bytes: 4 * 1024 ** 3 } },
    },
  };
  if (transportUrl !== null) await writePrivately(layout.transportUrl, `${transportUrl}\n`);
  await writePrivately(layout.config, stringify(config));
}

/** Writes a file of mode 0600 that appears whole or not at all. */
export async function writePrivately(path: string, text: string): Promise<void> {
  const fresh = `${path}.${process.pid}`;
  await writeFile(fresh, text, { mode: 0o600 });
  await chmod(fresh, 0o600);
  await rename(fresh, path);
}
