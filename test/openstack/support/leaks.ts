/** What servers leave, on every side: asked of the services themselves, of the switches, and read from the nodes' files. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Node } from '../../../tools/openstack/node.ts';
import { until } from '../../support/wait.ts';
import type { Cloud } from './cloud.ts';
import { NODES } from './nodes.ts';

/** Names of what is there, by kind; nothing of a kind is an empty list. */
export type CloudTraces = Readonly<Record<string, readonly string[]>>;

/** Tables of a node's store that hold nothing while there is no instance. */
const STORE_TABLES = ['functions', 'bindings', 'ports', 'secrets'] as const;

/** Kinds of simulated hardware that belong to an instance, and what the simulation calls wrong. */
const WORLD_KINDS = ['function', 'port', 'attachment', 'export', 'machine', 'violation'];

/** Everything that a server may have left, now. */
export async function cloudTraces(cloud: Cloud): Promise<CloudTraces> {
  const { admin } = cloud;
  const list = async <Each>(...[service, key, path]: readonly ['network' | 'volumev3', string, string]) =>
    (await admin.call<Record<string, readonly Each[]>>(service, 'GET', path))[key] ?? [];
  const servers = await admin.call<{ servers: readonly { id: string }[] }>('compute', 'GET', '/servers?all_tenants=1');
  const ports = await list<{ id: string; device_owner: string }>('network', 'ports', '/v2.0/ports');
  const attachments = await list<{ id: string }>('volumev3', 'attachments', '/attachments?all_tenants=1');
  const volumes = await list<{ id: string; status: string }>('volumev3', 'volumes', '/volumes/detail?all_tenants=1');
  const nodes = await Promise.all(Object.values(cloud.nodes).map(nodeTraces));
  return {
    servers: servers.servers.map(({ id }) => id),
    ports: ports.filter(({ device_owner: owner }) => !owner.startsWith('network:')).map(({ id }) => id),
    attachments: attachments.map(({ id }) => id),
    volumes: volumes.map(({ id, status }) => `${id} ${status}`),
    allocations: await allocations(cloud),
    ...Object.assign({}, ...nodes),
  };
}

/** Waits until nothing is left but what `kept` names. @throws Error that names what is left */
export async function expectNothingLeft(cloud: Cloud, kept: readonly string[] = [], ms = 30_000): Promise<void> {
  let left: Record<string, readonly string[]> = {};
  const isClean = async (): Promise<boolean> => {
    const found = Object.entries(await cloudTraces(cloud)).map(
      ([kind, names]) => [kind, names.filter((name) => !kept.some((each) => name.includes(each)))] as const,
    );
    left = Object.fromEntries(found.filter(([, names]) => names.length > 0));
    return Object.keys(left).length === 0;
  };
  try {
    await until('nothing is left', isClean, ms);
  } catch (cause) {
    throw new Error(`left behind: ${JSON.stringify(left, null, 2)}`, { cause });
  }
}

async function allocations({ admin, nodes }: Cloud): Promise<readonly string[]> {
  const { resource_providers: providers } = await admin.call<{
    resource_providers: readonly { uuid: string; name: string }[];
  }>('placement', 'GET', '/resource_providers');
  const hosts = [...Object.values(NODES), ...Object.values(nodes)].map(({ hostname }): string => hostname);
  const all = providers
    .filter(({ name }) => hosts.includes(name))
    .map(async ({ uuid, name }) => {
      const path = `/resource_providers/${uuid}/allocations`;
      const answer = await admin.call<{ allocations: Readonly<Record<string, unknown>> }>('placement', 'GET', path);
      return Object.keys(answer.allocations).map((consumer) => `${consumer} on ${name}`);
    });
  return (await Promise.all(all)).flat();
}

async function nodeTraces(node: Node): Promise<CloudTraces> {
  const named = (kind: string): string => `${node.hostname} ${kind}`;
  return {
    [named('switch')]: await switchPorts(node),
    [named('hardware')]: rows(join(node.stateDir, 'world.db'), (db) =>
      (db.prepare('select kind, key, value from world').all() as WorldRow[])
        .filter((row) => WORLD_KINDS.includes(row.kind) && !isOfSwitch(row))
        .map(({ kind, key, value }) => (kind === 'violation' ? `${kind} ${value}` : `${kind} ${key}`)),
    ),
    [named('store')]: rows(join(node.stateDir, 'soc-daemon.db'), (db) => [
      ...STORE_TABLES.flatMap((table) => count(db, table, `select count(*) as n from ${table}`)),
      ...count(db, 'instances', "select count(*) as n from instances where state <> 'deleted'"),
    ]),
    [named('flows')]: rows(join(node.stateDir, 'openstack.db'), (db) =>
      count(
        db,
        'unfinished flows',
        "select count(*) as n from flows where state not in ('succeeded', 'failed', 'cancelled')",
      ),
    ),
    [named('listeners')]: listeners(node.pid()),
  };
}

interface WorldRow {
  readonly kind: string;
  readonly key: string;
  readonly value: string;
}

/** The simulated card knows nothing of a real switch, and so calls each NIC unserved. */
function isOfSwitch({ kind, value }: WorldRow): boolean {
  if (kind !== 'violation') return false;
  const { rule, subject } = JSON.parse(value) as { readonly rule: string; readonly subject: string };
  return rule.endsWith('unserved') && subject.startsWith('nic-');
}

async function switchPorts({ chassis }: Node): Promise<readonly string[]> {
  if (chassis === null) return [];
  const found = await chassis.vsctl(
    '--bare',
    '--columns=name,external_ids',
    'find',
    'interface',
    'external_ids:iface-id!=""',
  );
  return found
    .split('\n\n')
    .map((each) => each.trim().replaceAll('\n', ' '))
    .filter((each) => each !== '');
}

function rows(file: string, read: (db: Database.Database) => readonly string[]): readonly string[] {
  if (!existsSync(file)) return [];
  const db = new Database(file, { readonly: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
}

function count(db: Database.Database, what: string, query: string): readonly string[] {
  const { n } = db.prepare(query).get() as { readonly n: number };
  return n === 0 ? [] : [`${n} of ${what}`];
}

/** TCP ports that a process listens on: the sockets of /proc/PID/fd that /proc/PID/net/tcp calls listening (state 0A). */
function listeners(pid: number | undefined): readonly string[] {
  if (pid === undefined) return [];
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // closed since it was listed
      }
    }),
  );
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode = '']) => state === '0A' && inodes.has(inode))
      .map(([, local = '']) => `port ${Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)}`),
  );
}
