/** The programs of a control plane and how each is started. */
import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Broker, isRunning, readBroker, startBroker } from '../rabbitmq.ts';
import { configFile } from './config-files.ts';
import type { PortName, StackLayout } from './layout.ts';
import { listens, type ProgramSpec, type Programs, programEnvironment } from './programs.ts';

/** The services that have a configuration file and, where they listen, a port. */
export const SERVICES = [
  'keystone',
  'placement',
  'neutron-server',
  'nova-api',
  'nova-conductor',
  'nova-scheduler',
  'glance-api',
  'cinder-api',
  'cinder-scheduler',
  'cinder-volume',
  'nova-novncproxy',
  'nova-serialproxy',
] as const;

/** A service that can be stopped and started by itself. */
export type StackService = (typeof SERVICES)[number];

const LISTENS: Readonly<Partial<Record<StackService, PortName>>> = {
  keystone: 'keystone',
  placement: 'placement',
  'neutron-server': 'neutron',
  'nova-api': 'nova',
  'glance-api': 'glance',
  'cinder-api': 'cinder',
  'nova-novncproxy': 'novncproxy',
  'nova-serialproxy': 'serialproxy',
};

/** How a service is started. */
export function serviceSpec(layout: StackLayout, name: StackService): ProgramSpec {
  const plain = (...files: readonly Parameters<typeof configFile>[1][]): ProgramSpec => ({
    name,
    argv: [name, ...files.flatMap((file) => ['--config-file', configFile(layout, file)])],
    cwd: layout.dir,
  });
  switch (name) {
    case 'keystone':
      return uwsgi(layout, name, '/usr/bin/keystone-wsgi-public', {
        OS_KEYSTONE_CONFIG_FILES: configFile(layout, 'keystone'),
      });
    case 'placement':
      return uwsgi(layout, name, '/usr/bin/placement-api', {
        OS_PLACEMENT_CONFIG_DIR: join(layout.dir, 'etc/placement'),
      });
    case 'neutron-server':
      return plain('neutron', 'ml2');
    case 'glance-api':
      return plain('glance');
    case 'cinder-volume':
      return { ...plain('cinder'), env: { PYTHONPATH: join(import.meta.dirname, 'cinder') } };
    case 'cinder-api':
    case 'cinder-scheduler':
      return plain('cinder');
    case 'nova-novncproxy': {
      const spec = plain('nova');
      return { ...spec, argv: [...spec.argv, '--web', '/usr/share/novnc'] };
    }
    default:
      return plain('nova');
  }
}

function uwsgi(
  { dir, ports }: StackLayout,
  name: 'keystone' | 'placement',
  file: string,
  env: Readonly<Record<string, string>>,
): ProgramSpec {
  const flags = ['--master', '--lazy-apps', '--die-on-term', '--need-app', '--thunder-lock', '--enable-threads'];
  const values = ['--plugin', 'python3', '--processes', '2', '--threads', '1', '--buffer-size', '65535'];
  // uwsgi's own HTTP keeps no connection open, and does not say so
  const http = ['--add-header', 'Connection: close', '--http-socket', `127.0.0.1:${ports[name]}`];
  return { name, argv: ['uwsgi', ...values, ...flags, ...http, '--wsgi-file', file], env, cwd: dir };
}

/** Ends when the service takes requests; one that listens nowhere is only not dead. */
export async function serviceReady(layout: StackLayout, programs: Programs, name: StackService): Promise<void> {
  const port = LISTENS[name];
  await programs.ready(name, async () => port === undefined || (await listens(layout.ports[port])));
}

/** Starts the broker where it does not run; its account and port stay the same. */
export async function ensureBroker(layout: StackLayout, programs: Programs): Promise<Broker> {
  const dir = join(layout.dir, 'rabbitmq');
  const before = await readBroker(dir);
  if (before !== undefined && isRunning(before)) return before;
  const onSpawn = (pid: number): void => programs.adopt('rabbitmq', pid);
  return await startBroker({ dir, port: layout.ports.rabbitmq, detached: true, readyMs: 120_000, onSpawn });
}

/** Starts memcached, and OVN's databases with ovn-northd between them. */
export async function startInfrastructure(layout: StackLayout, programs: Programs): Promise<void> {
  const { dir, sockets, ports } = layout;
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : [];
  programs.start({
    name: 'memcached',
    argv: ['memcached', ...user, '-l', '127.0.0.1', '-p', String(ports.memcached), '-m', '64'],
  });
  const ovn = join(dir, 'ovn');
  await mkdir(ovn, { recursive: true });
  const env = ovnEnvironment(layout);
  for (const name of ['nb', 'sb'] as const) {
    const file = join(ovn, `${name}.db`);
    const socket = join(sockets, `${name}.sock`);
    if (!existsSync(file)) await tool('ovsdb-tool', 'create', file, `/usr/share/ovn/ovn-${name}.ovsschema`);
    if (!programs.isRunning(`ovn-${name}`)) rmSync(socket, { force: true });
    const flags = [`--remote=punix:${socket}`, `--unixctl=${join(sockets, `${name}.ctl`)}`, '--no-chdir'];
    programs.start({ name: `ovn-${name}`, argv: ['ovsdb-server', ...flags, file], env });
  }
  for (const name of ['nb', 'sb']) {
    await programs.ready(`ovn-${name}`, async () => existsSync(join(sockets, `${name}.sock`)), 30_000);
  }
  const [nb, sb] = [`unix:${sockets}/nb.sock`, `unix:${sockets}/sb.sock`];
  const flags = [`--ovnnb-db=${nb}`, `--ovnsb-db=${sb}`, `--unixctl=${sockets}/northd.ctl`];
  programs.start({ name: 'ovn-northd', argv: ['ovn-northd', ...flags], env });
}

/** Where OVN's programs keep what has no flag of its own. */
export function ovnEnvironment({ dir, sockets }: StackLayout): Readonly<Record<string, string>> {
  return { OVN_RUNDIR: sockets, OVN_DBDIR: join(dir, 'ovn'), OVN_LOGDIR: join(dir, 'log'), OVS_RUNDIR: sockets };
}

async function tool(program: string, ...args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, [...args], { env: programEnvironment(), timeout: 60_000 });
}
