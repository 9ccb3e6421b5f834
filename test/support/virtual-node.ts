/** A whole node for one test file: private RabbitMQ, virtual DPU, snic-controller and the daemon as processes, each of which can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRpcClient, createTransport, type RpcClient, type Transport } from 'oslo-messaging';
import { stringify } from 'yaml';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { FunctionList } from '../../schemas/generated/rest.ts';
import { type Client, createClient } from '../../soc-daemon/cli/client.ts';
import { daemonNodeFlags } from '../../tools/daemon-flags.ts';
import { type Layout, layoutOf, makeDirectories, NODE, writePrivately } from '../../tools/demo/layout.ts';
import type { Screen } from '../../tools/demo/screen.ts';
import type { Traces } from '../../tools/demo/traces.ts';
import { endVirtual, ensureVirtual, type Hardware, localNetns } from '../../tools/demo/virtual.ts';
import { findRabbitServer } from '../../tools/rabbitmq.ts';
import { bmcFiles } from '../../virtual-dpu/bmc/files.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { buildImage } from '../../virtual-dpu/image/build-image.ts';
import { kill } from '../../virtual-dpu/virtual-dpu.ts';
import { type GuestConsole, openGuestConsole } from './guest-console.ts';
import { nodeTraces } from './node-leaks.ts';
import { startRabbit, type TestRabbit } from './rabbitmq.ts';
import { canHaveVirtualDpus } from './virtual-dpu.ts';
import { until } from './wait.ts';

const ROOT = join(import.meta.dirname, '../..');
const READY_MS = 120_000;
const OPERATION_MS = 240_000;
const CALL_MS = 30_000;

/** Volumes that are there for instances: name -> bytes. */
export const VOLUMES = { data: 16 * 1024 * 1024, later: 24 * 1024 * 1024 } as const;

/** What can be killed, by the name of its process. */
export const victims = ['daemon', 'snic-controller', 'ovs-vswitchd', 'spdk-face', 'qemu', 'bmc', 'rabbitmq'] as const;

/** A process of the node. */
export type Victim = (typeof victims)[number];

/** Whether such a node can be had here; where it can't, a line says why, and with CI set it is a failure. */
export function canHaveVirtualNodes(what: string): boolean {
  if (!canHaveVirtualDpus(what)) return false;
  if (findRabbitServer() !== undefined) return true;
  if (process.env.CI) throw new Error(`${what}: rabbitmq-server is not installed`);
  process.stderr.write(`${what}: NOT RUN, rabbitmq-server is not installed\n`);
  return false;
}

/** The node, driven as a platform and an operator would. */
export interface VirtualNode {
  /** As `up` described it last. */
  readonly dpu: VirtualDpu;
  readonly layout: Layout;
  /** The REST interface, over its unix socket. */
  readonly rest: Client;
  /** Calls a method over AMQP. @throws what the RPC client throws */
  call<Answer>(method: string, args?: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** Calls one that begins an operation, and waits for its end, whatever that is. */
  operate(method: string, args: Readonly<Record<string, unknown>>): Promise<Operation>;
  /** The same; @throws Error where it did not succeed. */
  succeed(method: string, args: Readonly<Record<string, unknown>>): Promise<Operation>;
  /** Waits for an operation's end, by REST. The daemon may be away for a while. */
  ended(id: string): Promise<Operation>;
  instance(uuid: string): Promise<Instance>;
  status(): Promise<NodeStatus>;
  functions(): Promise<FunctionList['functions']>;
  /** Waits until the node is ready. */
  ready(): Promise<void>;
  /** SIGKILL. What is dead already is fine. */
  kill(victim: Victim): Promise<void>;
  /** Starts all that is dead, and waits until the node answers over REST and AMQP. */
  repair(options?: { readonly isMember?: boolean }): Promise<void>;
  /** What the daemon remembers is gone, all but its key and identity of the parts: only while it is dead. */
  forgetStore(): Promise<void>;
  /** The host's serial console, as its BMC gives it; to be closed by who opened it. */
  console(): Promise<GuestConsole>;
  /** All that the host has printed since its QEMU was first started. */
  serialLog(): Promise<string>;
  /** What is in the parts now that was not when the node came up; in words, none where nothing is. */
  leaks(): Promise<readonly string[]>;
  /** Waits until nothing is left but what has one of these in its name. @throws Error that says what is. */
  clean(options?: { readonly but?: readonly string[]; readonly ms?: number }): Promise<void>;
  /** The end of the daemon's log, for a failure's message. */
  daemonLog(): Promise<string>;
  close(): Promise<void>;
}

const silent: Screen = {
  terminal: false,
  line: () => undefined,
  heading: () => undefined,
  block: () => undefined,
  keepBlock: () => undefined,
  paint: (_style, text) => text,
};

/** What differs from one node of a test to the next. */
export interface VirtualNodeOptions {
  /** Addresses that it gives to its instances, where another node has the rest of the subnet. */
  readonly pool?: { readonly first: string; readonly last: string };
}

/** Brings a node up in a temporary directory; empty and ready when it resolves. What was begun is ended where that fails. */
export async function startVirtualNode(options: VirtualNodeOptions = {}): Promise<VirtualNode> {
  const layout = layoutOf(await mkdtemp(join(tmpdir(), 'vnode-')));
  const parts = { rabbit: undefined as TestRabbit | undefined, daemon: undefined as ChildProcess | undefined };
  let hardware: Hardware | undefined;
  let transport: Transport | undefined;
  let client: RpcClient | undefined;
  let identity: string | undefined;
  let before: Traces = {};
  const rest = createClient({ socket: layout.socket });
  const ask = async <Answer>(path: string): Promise<Answer> => (await rest.ask('GET', path)) as Answer;

  function up(): Hardware {
    if (hardware === undefined) throw new Error('the virtual DPU is not up');
    return hardware;
  }

  /** The demo's, but for its guest, which waits for its address as long as a busy machine needs. */
  async function startHardware(): Promise<Hardware> {
    await mkdir(layout.images, { recursive: true });
    await buildImage({ output: join(layout.images, `${NODE.image}.img`), metadataWait: 90 });
    return await ensureVirtual(layout, ROOT, silent);
  }

  async function startDaemon(): Promise<void> {
    const log = await open(layout.daemonLog, 'a', 0o600);
    const argv = [...daemonNodeFlags, join(ROOT, 'soc-daemon/main.ts'), '--config', layout.config];
    parts.daemon = spawn(process.execPath, argv, { cwd: ROOT, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
  }

  const daemonLives = (): boolean => parts.daemon?.exitCode === null && parts.daemon.signalCode === null;

  async function endDaemon(signal: NodeJS.Signals): Promise<void> {
    if (parts.daemon === undefined || !daemonLives()) return;
    const exited = once(parts.daemon, 'exit');
    parts.daemon.kill(signal);
    await exited;
  }

  async function repair({ isMember = true } = {}): Promise<void> {
    if (parts.rabbit === undefined) parts.rabbit = await startRabbit();
    else if (!parts.rabbit.running) await parts.rabbit.restart();
    hardware = await ensureVirtual(layout, ROOT, silent);
    if (!daemonLives()) await startDaemon();
    await until(
      'the REST interface answers',
      async () => {
        if (!daemonLives()) throw new Error(`the daemon ended: ${await daemonLog()}`);
        return await answers();
      },
      READY_MS,
    );
    if (client !== undefined && isMember) await reachable();
  }

  async function answers(): Promise<boolean> {
    try {
      await rest.askAny('GET', '/healthz');
      return true;
    } catch {
      return false; // not listening yet
    }
  }

  async function ready(): Promise<void> {
    let why: unknown;
    await until(
      'the node is ready',
      async () => {
        const { body } = await rest.askAny('GET', '/readyz');
        why = body;
        return (body as { ready?: boolean }).ready === true;
      },
      READY_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(why)}`);
    });
  }

  /** Waits until the node answers through the broker, which it finds again by itself. */
  async function reachable(): Promise<void> {
    let why: unknown;
    await until(
      'the node answers over AMQP',
      async () => {
        const asked = client?.call('report_node_status', {}, { mandatory: true, timeoutMs: 5000 });
        identity = await asked?.then(
          (status) => (status as NodeStatus).uuid,
          (error: unknown) => {
            why = error; // it may be ready before it has found its broker
            return undefined;
          },
        );
        return identity;
      },
      READY_MS,
    ).catch(async (error: unknown) => {
      const { body } = await rest.askAny('GET', '/readyz');
      throw new Error(`${String(error)}: ${String(why)}; ${JSON.stringify(body)}\n${await daemonLog()}`);
    });
  }

  const call = async <Answer>(method: string, args: Readonly<Record<string, unknown>> = {}): Promise<Answer> => {
    if (client === undefined) throw new Error('there is no broker');
    return (await client.call(method, args, { timeoutMs: CALL_MS })) as Answer;
  };

  async function ended(id: string): Promise<Operation> {
    let last: Operation | undefined;
    const over = ['succeeded', 'failed', 'cancelled', 'stuck'];
    try {
      return await until(
        'the operation ends',
        async () => {
          try {
            last = await ask<Operation>(`/v1/operations/${id}`);
          } catch {
            return undefined; // the daemon is away
          }
          return over.includes(last.state) ? last : undefined;
        },
        OPERATION_MS,
      );
    } catch (error) {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}\n${await daemonLog()}`);
    }
  }

  const operate = async (method: string, args: Readonly<Record<string, unknown>>): Promise<Operation> =>
    await ended((await call<{ operation: Operation }>(method, args)).operation.id);

  async function leaks(): Promise<readonly string[]> {
    const now = await traces();
    const instances = await ask<{ instances: Instance[] }>('/v1/instances');
    return [
      ...Object.entries(now).flatMap(([kind, names]) =>
        names.filter((name) => !before[kind]?.includes(name)).map((name) => `${kind}: ${name}`),
      ),
      ...instances.instances.map(({ uuid, state }) => `instance: ${uuid} ${state}`),
    ];
  }

  const traces = (): Promise<Traces> => nodeTraces(up().dpu, layout, Object.keys(VOLUMES));

  async function daemonLog(): Promise<string> {
    const text = await readFile(layout.daemonLog, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-12).join('\n');
  }

  async function close(): Promise<void> {
    await client?.close().catch(() => undefined); // the broker may be dead
    await transport?.close().catch(() => undefined);
    await endDaemon('SIGTERM');
    await endVirtual(layout, identity === undefined ? [] : [localNetns(identity)]);
    await parts.rabbit?.stop();
    await rm(layout.dir, { recursive: true, force: true });
  }

  process.once('exit', () => parts.daemon?.kill('SIGKILL'));
  try {
    await makeDirectories(layout);
    const [rabbit, virtual] = await Promise.allSettled([startRabbit(), startHardware()]);
    if (rabbit.status === 'fulfilled') parts.rabbit = rabbit.value;
    else throw rabbit.reason;
    if (virtual.status === 'rejected') throw virtual.reason;
    hardware = virtual.value;
    await writeConfig(layout, hardware, parts.rabbit.url, options);
    await repair();
    await ready();
    // looks often: a test has less time than a platform
    const backoff = { maxMs: 500 };
    transport = createTransport({ url: parts.rabbit.url, connectionName: 'test platform', backoff });
    const { hostname: server, exchange } = NODE;
    client = createRpcClient({ transport, exchange, topic: 'compute', server });
    await reachable();
    before = await traces();
  } catch (error) {
    const said = await daemonLog();
    await close();
    throw new Error(`the node did not come up: ${String(error)}\n${said}`, { cause: error });
  }

  return {
    get dpu() {
      return up().dpu;
    },
    layout,
    rest,
    call,
    operate,
    async succeed(method, args) {
      const operation = await operate(method, args);
      if (operation.state === 'succeeded') return operation;
      throw new Error(`${method} ${operation.state}: ${JSON.stringify(operation.error)}\n${await daemonLog()}`);
    },
    ended,
    instance: (uuid) => ask(`/v1/instances/${uuid}`),
    status: () => ask('/v1/node'),
    functions: async () => (await ask<FunctionList>('/v1/functions')).functions,
    ready,
    async kill(victim) {
      if (victim === 'daemon') return await endDaemon('SIGKILL');
      if (victim === 'rabbitmq') return await parts.rabbit?.down({ hard: true });
      const name = victim === 'snic-controller' ? 'in-snic-controller' : victim;
      await kill(layout.virtualDpu, name);
    },
    repair,
    async forgetStore() {
      if (daemonLives()) throw new Error('the daemon still has its store open');
      await rm(layout.state, { recursive: true, force: true });
      await makeDirectories(layout);
    },
    console: () => openGuestConsole(bmcFiles(layout.virtualDpu).serialSocket),
    serialLog: () => readFile(up().dpu.host.serialLog, 'latin1').then((text) => text.replaceAll('\r', '')),
    leaks,
    async clean({ but = [], ms = 30_000 } = {}) {
      let left: readonly string[] = [];
      await until(
        'nothing is left',
        async () => {
          left = (await leaks()).filter((each) => !but.some((part) => each.includes(part)));
          return left.length === 0;
        },
        ms,
      ).catch(() => {
        throw new Error(`left behind: ${left.join(', ')}`);
      });
    },
    daemonLog,
    close,
  };
}

async function writeConfig(
  layout: Layout,
  { config, dpu }: Hardware,
  transportUrl: string,
  { pool }: VirtualNodeOptions,
): Promise<void> {
  await writePrivately(layout.transportUrl, `${transportUrl}\n`);
  const volumes = Object.fromEntries(Object.entries(VOLUMES).map(([name, bytes]) => [name, { size_bytes: bytes }]));
  const { cpus, memoryMib } = dpu.host;
  await writePrivately(
    layout.config,
    stringify({
      node: { hostname: NODE.hostname },
      state_dir: layout.state,
      amqp: { transport_url_file: layout.transportUrl, exchange: NODE.exchange },
      rest: { socket: layout.socket, socket_mode: '0600' },
      reconcile: { interval_s: 5 },
      catalogue: {
        flavors: { [NODE.flavor]: { vcpus: cpus, memory_mib: Math.min(256, memoryMib) } },
        subnets: { [NODE.subnet]: { cidr: '10.0.0.0/24', ...(pool === undefined ? {} : { pool }) } },
      },
      ...config,
      storage: { ...config.storage, volumes },
    }),
  );
}
