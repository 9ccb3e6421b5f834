/** Where a stack is: its directory, its ports and its passwords, chosen once and kept in `stack.json`. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { StackError } from './programs.ts';

const PORTS = [
  'mariadb',
  'memcached',
  'rabbitmq',
  'keystone',
  'placement',
  'glance',
  'neutron',
  'cinder',
  'nova',
  'novncproxy',
  'serialproxy',
  'ceph',
  'ceph2',
] as const;

/** What listens on a port of 127.0.0.1. */
export type PortName = (typeof PORTS)[number];

/** A control plane's directory and what was chosen for it; the content of `stack.json` (mode 0600). */
export interface StackLayout {
  readonly dir: string;
  /** Unix sockets; elsewhere when the directory's name is too long for them. */
  readonly sockets: string;
  readonly ports: Readonly<Record<PortName, number>>;
  /** Of the administrator, the service users and the database: random, the stack's own. */
  readonly password: string;
  readonly region: string;
  /** A Ceph behind Cinder. */
  readonly ceph: boolean;
}

/** A longer directory has its sockets elsewhere: `/ovn/sb.sock` and the like need 40 bytes more, of 107. */
const LONGEST_DIR = 64;

/** The file that says that a directory holds a stack. */
export const STACK_FILE = 'stack.json';

/** Reads the stack of a directory. @throws StackError where there is none */
export function readStack(dir: string): StackLayout {
  const file = join(dir, STACK_FILE);
  if (!existsSync(file)) throw new StackError(`there is no control plane in ${dir}`);
  return JSON.parse(readFileSync(file, 'utf8')) as StackLayout;
}

/** The stack of a directory, chosen at the first call. */
export async function ensureLayout(dir: string, options: { readonly ceph: boolean }): Promise<StackLayout> {
  const file = join(dir, STACK_FILE);
  if (existsSync(file)) {
    const before = readStack(dir);
    if (before.ceph || !options.ceph) return before;
    return write(file, { ...before, ceph: true });
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const ports = new Map<PortName, number>();
  for (const name of PORTS) {
    let port = await freePort();
    while ([...ports.values()].includes(port)) port = await freePort();
    ports.set(name, port);
  }
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  return write(file, {
    dir,
    sockets: Buffer.byteLength(dir) <= LONGEST_DIR ? join(dir, 'sockets') : join(tmpdir(), `dpu-openstack-${hash}`),
    ports: Object.fromEntries(ports) as Record<PortName, number>,
    password: randomBytes(12).toString('hex'),
    region: 'RegionOne',
    ceph: options.ceph,
  });
}

function write(file: string, layout: StackLayout): StackLayout {
  mkdirSync(layout.sockets, { recursive: true, mode: 0o700 });
  writeFileSync(file, `${JSON.stringify(layout, null, 2)}\n`, { mode: 0o600 });
  return layout;
}

/** The address of a service. */
export function urlOf({ ports }: Pick<StackLayout, 'ports'>, name: PortName): string {
  return `http://127.0.0.1:${ports[name]}`;
}
