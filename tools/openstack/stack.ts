/**
 * An unmodified OpenStack Zed control plane from Debian's packages, on loopback, without systemd: MariaDB, RabbitMQ, memcached,
 * Keystone, Placement, Glance, Neutron with ML2/OVN, Cinder, Nova without a compute node.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writePrivately } from '../demo/layout.ts';
import { readBroker } from '../rabbitmq.ts';
import { bootstrapIdentity, bootstrapResources, METAL_CLASS, NAMES } from './bootstrap.ts';
import { startCeph, stopCeph } from './ceph.ts';
import { configFile, writeConfigFiles } from './config-files.ts';
import { manage, startDatabases } from './databases.ts';
import { ensureLayout, readStack, type StackLayout, urlOf } from './layout.ts';
import { openPrograms, type Programs, StackError } from './programs.ts';
import { type Account, signIn, signInWhenReady } from './rest.ts';
import {
  ensureBroker,
  SERVICES,
  type StackService,
  serviceReady,
  serviceSpec,
  startInfrastructure,
} from './services.ts';

/** They end when they can't sign in. */
const SIGN_IN_AT_ONCE: readonly StackService[] = ['nova-conductor', 'nova-scheduler'];

/** A control plane that runs. */
export interface Stack {
  readonly layout: StackLayout;
  readonly programs: Programs;
  /** Keystone, with `/v3`. */
  readonly authUrl: string;
  /** Nova's transport_url, with its password. */
  readonly transportUrl: string;
  /** The administrator. */
  readonly admin: Account;
  /** A file with the environment of the `openstack` client, for a shell. */
  readonly openrc: string;
  /** The same as variables; holds the administrator's password. */
  readonly shell: Readonly<Record<string, string>>;
  /** Finds the compute nodes that registered since, as an operator does: `nova-manage cell_v2 discover_hosts`. */
  discoverHosts(): Promise<void>;
  /** Stops one service; what it has queued stays. */
  stop(name: StackService): Promise<void>;
  /** Starts it again; ends when it takes requests. */
  start(name: StackService): Promise<void>;
}

/** How a stack is brought up. */
export interface UpOptions {
  readonly dir: string;
  /** A real Ceph behind Cinder, volume type `ceph`. */
  readonly ceph?: boolean;
  /** Where the tables of the databases are kept for the next stack. */
  readonly cache: string;
  readonly say?: (line: string) => void;
}

/** Brings a control plane up in a directory, or what of it does not run. @throws StackError with the end of the log that tells why */
export async function stackUp({ dir, ceph = false, cache, say = () => {} }: UpOptions): Promise<Stack> {
  const layout = await ensureLayout(dir, { ceph });
  const programs = openPrograms(dir);
  const begun = performance.now();
  const timed = async <Answer>(what: string, work: Promise<Answer>): Promise<Answer> => {
    const from = performance.now();
    const answer = await work;
    say(`${what}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
    return answer;
  };
  await mkdir(layout.sockets, { recursive: true, mode: 0o700 });
  writeConfigFiles(layout, await plannedTransportUrl(layout));
  const start = (name: StackService): void => void programs.start(serviceSpec(layout, name));
  const databases = startDatabases(layout, programs, cache, say).then(async (cached) => {
    say(cached ? 'tables: from the cache' : 'tables: made, or there already');
    start('keystone');
    await timed('administrator', ensureAdministrator(layout));
  });
  const [broker] = await Promise.all([
    timed('RabbitMQ', ensureBroker(layout, programs)),
    timed('databases and administrator', databases),
    startInfrastructure(layout, programs),
    layout.ceph ? timed('Ceph', startCeph(layout, programs)) : undefined,
  ]);
  writeConfigFiles(layout, broker.url);
  for (const name of SERVICES) if (!SIGN_IN_AT_ONCE.includes(name)) start(name);
  const equipped = join(dir, 'etc/equipped');
  const equipment = JSON.stringify([NAMES, METAL_CLASS, layout.ceph]);
  const isEquipped = existsSync(equipped) && readFileSync(equipped, 'utf8') === equipment;
  if (!isEquipped) await timed('identities', ensureIdentities(layout, programs));
  for (const name of SIGN_IN_AT_ONCE) start(name);
  await timed('services', Promise.all(SERVICES.map((name) => serviceReady(layout, programs, name))));
  const stack = stackOf(layout, programs, broker.url);
  if (!isEquipped) await timed('resources', bootstrapResources(layout, await signIn(stack.admin)));
  await writeFile(equipped, equipment);
  await writePrivately(stack.openrc, openrcText(stack.shell));
  for (const name of SERVICES)
    if (!programs.isRunning(name)) throw new StackError(`${name} ended:\n${programs.trouble(name)}`);
  say(`up after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return stack;
}

/** The control plane of a directory, which another process brought up. @throws StackError where there is none */
export async function openStack(dir: string): Promise<Stack> {
  const layout = readStack(dir);
  const broker = await readBroker(join(dir, 'rabbitmq'));
  if (broker === undefined) throw new StackError(`the control plane in ${dir} was never up`);
  return stackOf(layout, openPrograms(dir), broker.url);
}

/** Ends every process of the directory's stack, nodes and chassis too; `purge` removes the directory. Nothing there is no error. */
export async function stackDown(dir: string, { purge = false } = {}): Promise<readonly string[]> {
  if (!existsSync(join(dir, 'stack.json'))) return [];
  const layout = readStack(dir);
  const programs = openPrograms(dir);
  const ended = Object.keys(programs.running());
  const infrastructure = ['memcached', 'ovn-northd', 'ovn-nb', 'ovn-sb', 'rabbitmq', 'mariadb'];
  const first = ended.filter((name) => !infrastructure.includes(name) && !name.startsWith('ceph-'));
  await Promise.all(first.map((name) => programs.stop(name)));
  await Promise.all(infrastructure.map((name) => programs.stop(name, 30_000)));
  await stopCeph(programs);
  if (purge) {
    await rm(dir, { recursive: true, force: true });
    await rm(layout.sockets, { recursive: true, force: true });
  } else {
    for (const socket of existsSync(layout.sockets) ? readdirSync(layout.sockets) : []) {
      await rm(join(layout.sockets, socket), { force: true, recursive: true });
    }
  }
  return ended;
}

function stackOf(layout: StackLayout, programs: Programs, transportUrl: string): Stack {
  const authUrl = `${urlOf(layout, 'keystone')}/v3`;
  return {
    layout,
    programs,
    authUrl,
    transportUrl,
    admin: { authUrl, username: 'admin', password: layout.password, project: 'admin' },
    openrc: join(layout.dir, 'openrc'),
    shell: shellOf(layout, authUrl),
    async discoverHosts() {
      const config = ['--config-file', configFile(layout, 'nova')];
      await manage(layout, 'discover-hosts', ['nova-manage', ...config, 'cell_v2', 'discover_hosts']);
    },
    stop: (name) => programs.stop(name, 40_000),
    async start(name) {
      programs.start(serviceSpec(layout, name));
      await serviceReady(layout, programs, name);
    },
  };
}

/** The broker's account is chosen at its first start; until then the tools that make tables need only the form of its address. */
async function plannedTransportUrl({ dir, ports }: StackLayout): Promise<string> {
  return (await readBroker(join(dir, 'rabbitmq')))?.url ?? `rabbit://none:none@127.0.0.1:${ports.rabbitmq}/`;
}

/** Keystone's keys (`fernet_setup` makes the same: a staged key 0 and a primary key 1), and the administrator. */
async function ensureAdministrator(layout: StackLayout): Promise<void> {
  const dir = join(layout.dir, 'etc/keystone');
  const done = join(dir, 'bootstrapped');
  if (existsSync(done)) return;
  for (const repository of ['fernet', 'credential']) {
    await mkdir(join(dir, repository), { recursive: true, mode: 0o700 });
    for (const name of ['0', '1']) {
      const key = randomBytes(32).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
      await writeFile(join(dir, repository, name), key, { mode: 0o600 });
    }
  }
  const url = `${urlOf(layout, 'keystone')}/v3/`;
  const urls = ['admin', 'internal', 'public'].flatMap((each) => [`--bootstrap-${each}-url`, url]);
  await manage(layout, 'keystone-bootstrap', [
    ...['keystone-manage', '--config-file', configFile(layout, 'keystone'), 'bootstrap'],
    ...['--bootstrap-password', layout.password, '--bootstrap-region-id', layout.region, ...urls],
  ] as [string, ...string[]]);
  await writeFile(done, '');
}

/** Service users and catalogue. */
async function ensureIdentities(layout: StackLayout, programs: Programs): Promise<void> {
  await serviceReady(layout, programs, 'keystone');
  const admin = { username: 'admin', password: layout.password, project: 'admin' };
  try {
    const session = await signInWhenReady({ ...admin, authUrl: urlOf(layout, 'keystone') }, 60_000);
    await bootstrapIdentity(layout, session);
  } catch (error) {
    throw new StackError(`keystone: ${(error as Error).message}\n${programs.trouble('keystone')}`, { cause: error });
  }
}

function shellOf(layout: StackLayout, authUrl: string): Readonly<Record<string, string>> {
  return {
    OS_AUTH_URL: authUrl,
    OS_IDENTITY_API_VERSION: '3',
    OS_REGION_NAME: layout.region,
    OS_USERNAME: 'admin',
    OS_PASSWORD: layout.password,
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_COMPUTE_API_VERSION: '2.92',
    OS_VOLUME_API_VERSION: '3.70',
    OS_PLACEMENT_API_VERSION: '1.39',
    OS_IMAGE_API_VERSION: '2',
    no_proxy: '*',
  };
}

function openrcText(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value}'\n`)
    .join('');
}
