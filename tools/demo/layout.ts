import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { SocDaemonConfig } from '../../schemas/generated/config.ts';
import { freePort } from '../free-port.ts';
import { DemoError } from './demo-error.ts';

/** The part of the daemon's configuration that leads to its hardware. */
export type HardwareConfig = Pick<SocDaemonConfig, 'profile' | 'functions' | 'network' | 'storage' | 'host'>;

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
  /** State of the virtual DPU, and of the snic-controller on it; not there with simulated hardware. */
  readonly virtualDpu: string;
  readonly snicState: string;
  readonly snicSocket: string;
  /** Certificate, key and token of the dashboard's listener. */
  readonly tls: string;
  /** Images that volumes are made from. */
  readonly images: string;
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

/** A state directory with a longer path has its sockets elsewhere: those of the virtual DPU need 35 bytes more, of 107. */
const LONGEST_DIR = 64;

/** How long each call to the simulated hardware takes: a build is then some three seconds to watch. */
const LATENCY_MS = 250;

/** The paths of a state directory. A path too long for a unix socket gets one beneath the system's temporary directory. */
export function layoutOf(dir: string): Layout {
  const other = join(tmpdir(), `dpu-demo-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`);
  const short = Buffer.byteLength(dir) <= LONGEST_DIR ? dir : other;
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
    socket: join(short, 'rest.sock'),
    virtualDpu: join(short, 'vdpu'),
    snicState: join(dir, 'snic'),
    snicSocket: join(short, 'snic.sock'),
    tls: join(dir, 'tls'),
    images: join(dir, 'images'),
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
  for (const dir of [layout.dir, layout.state, layout.logs, dirname(layout.socket)]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    if ((await stat(dir)).uid !== process.getuid?.()) throw new DemoError(`${dir} belongs to another user`);
  }
  await writePrivately(layout.markFile, 'The state of a demo of dpu-compute; `npm run demo -- --help`.\n');
}

const simulated = {
  profile: 'sim',
  sim: {
    latency_ms: LATENCY_MS,
    images: { [NODE.image]: { size_bytes: 1024 ** 3 } },
    volumes: { [NODE.volume]: { size_bytes: 4 * 1024 ** 3 } },
  },
} as const;

/** Writes the daemon's configuration; without a transport URL it gets no broker, without hardware a simulated one. */
export async function writeConfig(
  layout: Layout,
  options: {
    readonly transportUrl: string | null;
    readonly hardware: HardwareConfig | null;
    readonly dashboard: boolean;
  },
): Promise<void> {
  const { transportUrl, hardware, dashboard } = options;
  const config: SocDaemonConfig = {
    node: { hostname: NODE.hostname },
    state_dir: layout.state,
    ...(transportUrl === null ? {} : { amqp: { transport_url_file: layout.transportUrl, exchange: NODE.exchange } }),
    rest: { socket: layout.socket, socket_mode: '0600', ...(dashboard ? { tcp: tcpOf(layout) } : {}) },
    catalogue: {
      flavors: { [NODE.flavor]: hardware === null ? { vcpus: 4, memory_mib: 8192 } : { vcpus: 1, memory_mib: 256 } },
      subnets: { [NODE.subnet]: { cidr: '10.0.0.0/24' } },
    },
    ...(hardware ?? simulated),
  };
  if (transportUrl !== null) await writePrivately(layout.transportUrl, `${transportUrl}\n`);
  await writePrivately(layout.config, stringify(config));
}

function tcpOf({ tls }: Layout) {
  const at = (name: string): string => join(tls, name);
  return {
    port: Number(readFileSync(at('port'), 'utf8')),
    cert_file: at('cert.pem'),
    key_file: at('key.pem'),
    token_file: at('token'),
  };
}

/** Makes what the dashboard's listener needs, once: a port, a certificate of its own, and a token. */
export async function makeCertificate(layout: Layout): Promise<void> {
  const [cert, key, token, port] = ['cert.pem', 'key.pem', 'token', 'port'].map((name) => join(layout.tls, name)) as [
    string,
    string,
    string,
    string,
  ];
  if (existsSync(token)) return;
  await mkdir(layout.tls, { recursive: true, mode: 0o700 });
  await writePrivately(port, String(await freePort()));
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
  const subject = ['-subj', '/CN=dpu-compute demo', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await promisify(execFile)('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert]);
  await writePrivately(token, `${randomBytes(24).toString('hex')}\n`);
}

/** Writes a file of mode 0600 that appears whole or not at all. */
export async function writePrivately(path: string, text: string): Promise<void> {
  const fresh = `${path}.${process.pid}`;
  await writeFile(fresh, text, { mode: 0o600 });
  await chmod(fresh, 0o600);
  await rename(fresh, path);
}
