/** What takes part in the benchmark on a control plane, and its measures. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startChassis } from '../../tools/openstack/chassis.ts';
import { sql } from '../../tools/openstack/databases.ts';
import { startNode, untilNodesUp } from '../../tools/openstack/node.ts';
import { RestError, type Session, signIn } from '../../tools/openstack/rest.ts';
import type { Stack } from '../../tools/openstack/stack.ts';
import { startStockCompute, stockComputeName } from '../../tools/openstack/stock-compute.ts';
import { cpuMsOf, type Memory, memoryOf } from './procfs.ts';

/** A compute host. */
export interface Competitor {
  readonly host: string;
  readonly stack: Stack;
  readonly admin: Session;
  start(): Promise<void> | void;
  stop(): Promise<void>;
  pid(): number;
  memory(): Memory;
}

/** What a start took until nova's record of the service had a heartbeat of the process. */
export interface Start {
  readonly ms: number;
  readonly cpuMs: number;
}

/** Two of something: the daemon's and the stock nova-compute's. */
export type Pair<Each> = readonly [Each, Each];

/**
 * What servers are made of: an image and no network, an image and one network, or a volume that Cinder makes of the image by the same request for both
 * (the fake driver makes no disk of an image; a node of ours makes a volume).
 */
export type RoundKind = 'image' | 'network' | 'volume';

/** How servers are built in a round. */
export interface Round {
  readonly servers: number;
  readonly kind: RoundKind;
  readonly order: 'in a row' | 'side by side';
}

/** What a round took. */
export interface RoundResult {
  readonly buildMs: number;
  /** CPU time of the compute process for each server built and deleted. */
  readonly cpuMsEach: number;
}

const PATIENCE_MS = 300_000;

/** Starts both, each with a chassis of its own; ends when nova calls both up. */
export async function competitors(
  stack: Stack,
  main: string,
): Promise<{ readonly ours: Competitor; readonly stock: Competitor; end(): Promise<void> }> {
  const admin = await signIn(stack.admin);
  // what a demo does more often than a node as it ships, or nova-compute, would
  const config = { log: { level: 'warn' }, reconcile: {} };
  const openstack = { report_interval_s: 10 };
  const node = await startNode({ stack, hostname: 'bench-ours', type: 'VM', main, config, openstack });
  const chassis = await startChassis({ stack, hostname: 'bench-stock' });
  startStockCompute(stack, 'bench-stock');
  await untilNodesUp(stack, ['bench-ours', 'bench-stock']);
  const pidOf = (name: string): number => {
    const pid = stack.programs.pid(name);
    if (pid === undefined) throw new Error(`${name} does not run: ${stack.programs.trouble(name)}`);
    return pid;
  };
  const name = stockComputeName('bench-stock');
  const shared = { stack, admin };
  return {
    ours: {
      ...shared,
      host: 'bench-ours',
      start: () => node.start(),
      stop: () => node.stop(),
      pid: () => pidOf('node-bench-ours'),
      memory: () => memoryOf(pidOf('node-bench-ours')),
    },
    stock: {
      ...shared,
      host: 'bench-stock',
      start: () => void startStockCompute(stack, 'bench-stock'),
      stop: () => stack.programs.stop(name, 60_000),
      pid: () => pidOf(name),
      memory: () => memoryOf(pidOf(name)),
    },
    async end() {
      await stack.programs.stop(name, 60_000);
      await chassis.end();
      await node.end();
      for (const host of ['bench-ours', 'bench-stock']) await forget(admin, host);
    },
  };
}

/** From exec until nova's record of the service has a heartbeat of this process; each is stopped and started so often, in turn. */
export async function measureStarts(both: Pair<Competitor>, times: number): Promise<Pair<readonly Start[]>> {
  const found: Pair<Start[]> = [[], []];
  for (let turn = 0; turn < times; turn += 1) {
    for (const [index, competitor] of both.entries()) {
      await competitor.stop();
      const before = await heartbeats(competitor);
      const begun = performance.now();
      const started = competitor.start();
      while ((await heartbeats(competitor)) === before) await sleep(20);
      found[index === 0 ? 0 : 1].push({ ms: performance.now() - begun, cpuMs: cpuMsOf(competitor.pid()) });
      await started;
    }
  }
  return found;
}

/** What an idle process has and needs. */
export interface Idle {
  /** Resident memory at the end. */
  readonly memory: Memory;
  readonly cpuMsPerMinute: number;
}

/** Lets both settle, then measures what an idle time costs each, the same time for both. */
export async function measureIdle([one, other]: Pair<Competitor>, settleMs: number, ms: number): Promise<Pair<Idle>> {
  await sleep(settleMs);
  const cpu = (): Pair<number> => [cpuMsOf(one.pid()), cpuMsOf(other.pid())];
  const before = cpu();
  await sleep(ms);
  const after = cpu();
  const idle = (competitor: Competitor, at: 0 | 1): Idle => ({
    memory: competitor.memory(),
    cpuMsPerMinute: ((after[at] - before[at]) * 60_000) / ms,
  });
  return [idle(one, 0), idle(other, 1)];
}

/** Builds servers on one after the other and deletes them. */
export async function buildRounds([one, other]: Pair<Competitor>, round: Round): Promise<Pair<RoundResult>> {
  return [await buildRound(one, round), await buildRound(other, round)];
}

async function buildRound(competitor: Competitor, { servers, kind, order }: Round): Promise<RoundResult> {
  const make = await maker(competitor, kind);
  const pid = competitor.pid();
  const cpuBefore = cpuMsOf(pid);
  const begun = performance.now();
  const ids: string[] = [];
  if (order === 'in a row') {
    for (let index = 0; index < servers; index += 1) {
      const id = await make();
      ids.push(id);
      await untilActive(competitor, [id]);
    }
  } else {
    ids.push(...(await Promise.all(Array.from({ length: servers }, make))));
    await untilActive(competitor, ids);
  }
  const buildMs = performance.now() - begun;
  for (const id of ids) await competitor.admin.call('compute', 'DELETE', `/servers/${id}`);
  await untilGone(competitor, ids);
  return { buildMs, cpuMsEach: (cpuMsOf(pid) - cpuBefore) / servers };
}

async function maker({ admin, host }: Competitor, kind: RoundKind): Promise<() => Promise<string>> {
  const images = await admin.call<{ images: readonly { id: string }[] }>('image', 'GET', '/v2/images?name=tiny');
  const found = await admin.call<{ networks: readonly { id: string }[] }>(
    'network',
    'GET',
    '/v2.0/networks?name=private',
  );
  const image = images.images[0]?.id;
  const volume = {
    boot_index: 0,
    source_type: 'image',
    uuid: image,
    destination_type: 'volume',
    volume_size: 1,
    delete_on_termination: true,
  };
  const server = {
    name: 'bench',
    flavorRef: '1',
    ...(kind === 'volume' ? { block_device_mapping_v2: [volume] } : { imageRef: image }),
    networks: kind === 'network' ? [{ uuid: found.networks[0]?.id }] : 'none',
    host,
  };
  return async () => {
    const answer = await admin.call<{ server: { id: string } }>('compute', 'POST', '/servers', { body: { server } });
    return answer.server.id;
  };
}

/** Asks the database and not the API, whose answers would cost the machine more than what is measured. */
async function untilActive(competitor: Competitor, ids: readonly string[]): Promise<void> {
  await wait('ACTIVE', async () => {
    const rows = await states(competitor, ids);
    const failed = rows.find((row) => row.startsWith('error'));
    if (failed !== undefined) throw new Error(`a server on ${competitor.host} failed`);
    return rows.length === ids.length && rows.every((row) => row === 'active\tNULL');
  });
}

async function untilGone({ stack, host, admin }: Competitor, ids: readonly string[]): Promise<void> {
  const list = ids.map((id) => `'${id}'`).join(',');
  const query = `SELECT COUNT(*) FROM nova.instances WHERE deleted = 0 AND uuid IN (${list})`;
  await wait(`deleted on ${host}`, async () => (await sql(stack.layout, query)).trim() === '0');
  for (const id of ids) {
    const answer = await admin.call('compute', 'GET', `/servers/${id}`).catch((error: unknown) => error);
    if (!(answer instanceof RestError) || answer.status !== 404) throw new Error(`server ${id} is still there`);
  }
}

async function states({ stack }: Competitor, ids: readonly string[]): Promise<readonly string[]> {
  const list = ids.map((id) => `'${id}'`).join(',');
  const query = `SELECT vm_state, task_state FROM nova.instances WHERE uuid IN (${list})`;
  return (await sql(stack.layout, query)).split('\n').filter(Boolean);
}

async function heartbeats({ stack, host }: Competitor): Promise<string> {
  return await sql(stack.layout, `SELECT report_count FROM nova.services WHERE host = '${host}' AND deleted = 0`);
}

async function wait(what: string, ask: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await sleep(50);
  }
}

/** Takes a host out of nova and placement, as an operator does. */
async function forget(admin: Session, host: string): Promise<void> {
  const path = `/os-services?binary=nova-compute&host=${host}`;
  const { services } = await admin.call<{ services: readonly { id: string }[] }>('compute', 'GET', path);
  for (const { id } of services) await admin.call('compute', 'DELETE', `/os-services/${id}`);
}
