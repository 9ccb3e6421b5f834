/** A node of ours on a control plane: a chassis, and the daemon with simulated hardware as the compute host of the same name. */

import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { daemonNodeFlags } from '../daemon-flags.ts';
import { writePrivately } from '../demo/layout.ts';
import { restNode } from '../demo/node-client.ts';
import { type Chassis, simulatedRepresentors, startChassis } from './chassis.ts';
import { StackError } from './programs.ts';
import { type Session, signIn } from './rest.ts';
import type { Stack } from './stack.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Functions of the simulated card. */
const FUNCTIONS = 64;

/** What a node is made of. */
export interface NodeOptions {
  readonly stack: Stack;
  readonly hostname: string;
  readonly type: 'BM' | 'VM';
  /** Put over the daemon's configuration, group by group. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Put over `platform.openstack`. */
  readonly openstack?: Readonly<Record<string, unknown>>;
  /** Without a chassis its switch is simulated; then Neutron binds no port to it. Default true. */
  readonly chassis?: boolean;
  /** The daemon's program; the source as it is unless told. */
  readonly main?: string;
}

/** A node; its daemon may be ended and started again. */
export interface Node {
  readonly hostname: string;
  readonly type: 'BM' | 'VM';
  readonly chassis: Chassis | null;
  /** The daemon's REST interface. */
  readonly socket: string;
  readonly stateDir: string;
  readonly log: string;
  pid(): number | undefined;
  /** Starts the daemon where it does not run; ends when its REST interface answers. */
  start(): Promise<void>;
  /** SIGTERM, as systemd does. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Ends it with its chassis; what nova knows of it stays. */
  end(): Promise<void>;
}

/** Starts chassis and daemon where they don't run. @throws StackError with the end of the log */
export async function startNode(options: NodeOptions): Promise<Node> {
  const node = await openNode(options);
  await node.start();
  return node;
}

/** The node without a start of its daemon; its configuration is written. */
export async function openNode(options: NodeOptions): Promise<Node> {
  const { stack, hostname, type } = options;
  const { layout, programs } = stack;
  const name = `node-${hostname}`;
  const dir = join(layout.dir, 'nodes', hostname);
  const short = createHash('sha256').update(hostname).digest('hex').slice(0, 8);
  const socket = join(layout.sockets, `${short}.rest`);
  const config = join(dir, 'soc-daemon.yaml');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const representors = simulatedRepresentors(FUNCTIONS);
  const chassis = options.chassis === false ? null : await startChassis({ stack, hostname, representors });
  await writePrivately(join(dir, 'transport-url'), `${stack.transportUrl}\n`);
  await writePrivately(join(dir, 'password'), `${layout.password}\n`);
  await writePrivately(config, stringify(configOf(options, socket, chassis)));

  async function start(): Promise<void> {
    const main = options.main ?? join(ROOT, 'soc-daemon/main.ts');
    programs.start({ name, argv: [process.execPath, ...daemonNodeFlags, main, '--config', config], cwd: dir });
    await programs.ready(name, async () => await answers(socket), 60_000);
  }

  return {
    hostname,
    type,
    chassis,
    socket,
    stateDir: join(dir, 'state'),
    log: programs.logFile(name),
    pid: () => programs.pid(name),
    start,
    stop: () => programs.stop(name, 30_000),
    kill: () => programs.kill(name),
    async end() {
      await programs.stop(name, 30_000);
      await chassis?.end();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Waits until nova calls the hosts up, and finds them (nova-manage cell_v2 discover_hosts). @throws StackError after `ms` */
export async function untilNodesUp(stack: Stack, hostnames: readonly string[], ms = 120_000): Promise<void> {
  const admin = await signIn(stack.admin);
  await until(`${hostnames.join(', ')} up in nova`, () => areUp(admin, hostnames), ms);
  if ((await hypervisors(admin, hostnames)).length < hostnames.length) await stack.discoverHosts();
  await until(
    `${hostnames.join(', ')} among the hypervisors`,
    async () => {
      return (await hypervisors(admin, hostnames)).length === hostnames.length;
    },
    ms,
  );
}

async function areUp(admin: Session, hostnames: readonly string[]): Promise<boolean> {
  const { services } = await admin.call<{ services: readonly { host: string; state: string }[] }>(
    'compute',
    'GET',
    '/os-services?binary=nova-compute',
  );
  return hostnames.every((name) => services.some(({ host, state }) => host === name && state === 'up'));
}

/** The list without details: with them nova-api asks each host that it calls up, and waits a minute for one that is not. */
async function hypervisors(admin: Session, hostnames: readonly string[]): Promise<readonly string[]> {
  const answer = await admin.call<{ hypervisors: readonly { hypervisor_hostname: string }[] }>(
    'compute',
    'GET',
    '/os-hypervisors',
  );
  return answer.hypervisors.map(({ hypervisor_hostname: name }) => name).filter((name) => hostnames.includes(name));
}

async function until(what: string, ask: () => Promise<boolean>, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (!(await ask())) {
    if (performance.now() > end) throw new StackError(`waited in vain: ${what}`);
    await sleep(200);
  }
}

async function answers(socket: string): Promise<boolean> {
  try {
    await restNode(socket).status();
    return true;
  } catch {
    return false; // it does not listen yet; whoever waits has a deadline
  }
}

function configOf(
  { stack, hostname, type, config = {}, openstack = {} }: NodeOptions,
  socket: string,
  chassis: Chassis | null,
) {
  const { layout } = stack;
  const url = (port: number): string => `127.0.0.1:${port}`;
  return {
    profile: 'sim',
    node: { hostname, type },
    state_dir: 'state',
    rest: { socket, socket_mode: '0600' },
    reconcile: { interval_s: 5 },
    platform: {
      kind: 'openstack',
      openstack: {
        auth_url: stack.authUrl,
        password_file: 'password',
        transport_url_file: 'transport-url',
        region: layout.region,
        report_interval_s: 5,
        console: {
          serial_url: `ws://${url(layout.ports.serialproxy)}/`,
          vnc_url: `http://${url(layout.ports.novncproxy)}/vnc_auto.html`,
        },
        ...openstack,
      },
    },
    ...(chassis === null
      ? {}
      : {
          network: {
            kind: 'ovs',
            ovsdb: chassis.ovsdb,
            run_dir: chassis.runDir,
            bridge: chassis.bridge,
            flows: 'controller',
            wait_ovn_installed: true,
            bind_timeout_s: 60,
          },
        }),
    sim: { functions: FUNCTIONS, host: { serial_number: `SIM-${hostname}`, cpus: 64, memory_mib: 65_536 } },
    ...config,
  };
}
