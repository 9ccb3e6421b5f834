/**
 * A chassis of the control plane's OVN: a real Open vSwitch (userspace datapath) and a real ovn-controller with a hostname of their own,
 * in a network namespace of their own, whose devices never meet the host's.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { representorOf } from '../../drivers/sim/card.ts';
import { exec } from '../../kit/exec.ts';
import { programEnvironment, StackError } from './programs.ts';
import { ovnEnvironment } from './services.ts';
import type { Stack } from './stack.ts';

/** A chassis that runs. */
export interface Chassis {
  readonly hostname: string;
  /** `unix:…`, its OVSDB. */
  readonly ovsdb: string;
  /** Folder of its management sockets. */
  readonly runDir: string;
  readonly bridge: string;
  /** Pid of a process in its network namespace, for `nsenter --net`. */
  readonly netnsPid: number;
  vsctl(...args: readonly string[]): Promise<string>;
  stop(part: ChassisPart): Promise<void>;
  start(part: ChassisPart): Promise<void>;
  /** Ends all of it, and takes it out of OVN as an operator does (`ovn-sbctl chassis-del`). */
  end(): Promise<void>;
}

/** A program of a chassis. */
export type ChassisPart = 'ovsdb' | 'vswitchd' | 'controller';

/** How a chassis is made. */
export interface ChassisOptions {
  readonly stack: Stack;
  readonly hostname: string;
  /** Names of taps that stand for the representors of a simulated card; they are there from the start, as those of a card are. */
  readonly representors?: readonly string[];
}

const BRIDGE = 'br-int';
const PARTS: readonly ChassisPart[] = ['ovsdb', 'vswitchd', 'controller'];

/** Names of the representors that a simulated card with so many functions may have. */
export function simulatedRepresentors(functions: number): readonly string[] {
  const slots = Array.from({ length: functions }, (_, slot) => slot);
  const types = ['PF', 'VF'] as const;
  const names = types.flatMap((type) => slots.map((slot) => representorOf({ class: 'virtio-net', type, slot })));
  return names.filter((name) => name !== null);
}

/** Starts what of a chassis does not run; ends when OVN knows it. @throws StackError */
export async function startChassis({ stack, hostname, representors = [] }: ChassisOptions): Promise<Chassis> {
  const { layout, programs } = stack;
  const nameOf = (part: ChassisPart | 'netns'): string => `chassis-${hostname}-${part}`;
  const home = join(layout.dir, 'chassis', hostname);
  const runDir = join(layout.sockets, createHash('sha256').update(hostname).digest('hex').slice(0, 8));
  const socket = join(runDir, 'db.sock');
  const env = { ...ovnEnvironment(layout), OVS_RUNDIR: runDir, OVN_RUNDIR: runDir, OVS_DBDIR: home };
  await mkdir(home, { recursive: true });
  await mkdir(runDir, { recursive: true, mode: 0o700 });

  const call = async (program: string, ...args: readonly string[]): Promise<string> =>
    await tool(env, program, ...args);
  const vsctl = (...args: readonly string[]): Promise<string> =>
    call('ovs-vsctl', `--db=unix:${socket}`, '--timeout=30', ...args);
  const sbctl = (...args: readonly string[]): Promise<string> =>
    call('ovn-sbctl', `--db=unix:${layout.sockets}/sb.sock`, '--timeout=30', ...args);

  const netnsPid = programs.start({ name: nameOf('netns'), argv: ['unshare', '--net', 'sleep', 'infinity'] });
  const inside = (...argv: readonly string[]): [string, ...string[]] => [
    'nsenter',
    `--net=/proc/${netnsPid}/ns/net`,
    ...argv,
  ];
  await programs.ready(nameOf('netns'), async () => await isApart(netnsPid), 20_000);
  await makeDevices(inside('ip'), representors);

  const specs = {
    ovsdb: ['ovsdb-server', join(home, 'conf.db'), `--remote=punix:${socket}`, `--unixctl=${runDir}/ovsdb.ctl`],
    vswitchd: inside('ovs-vswitchd', `unix:${socket}`, `--unixctl=${runDir}/vswitchd.ctl`),
    controller: ['ovn-controller', `unix:${socket}`],
  } as const satisfies Record<ChassisPart, readonly string[]>;

  async function start(part: ChassisPart): Promise<void> {
    const [program = '', ...args] = specs[part];
    if (!programs.isRunning(nameOf(part)) && part === 'ovsdb') await rm(socket, { force: true });
    programs.start({ name: nameOf(part), argv: [program, ...args, '--no-chdir'], env });
    const ready: Record<ChassisPart, () => Promise<boolean>> = {
      ovsdb: async () => existsSync(socket),
      vswitchd: async () => existsSync(`${runDir}/vswitchd.ctl`),
      controller: async () => true, // OVN's database tells
    };
    await programs.ready(nameOf(part), ready[part], 30_000);
  }

  if (!existsSync(join(home, 'conf.db'))) {
    await call('ovsdb-tool', 'create', join(home, 'conf.db'), '/usr/share/openvswitch/vswitch.ovsschema');
  }
  await start('ovsdb');
  await start('vswitchd');
  const ids = {
    hostname,
    'system-id': `chassis-${hostname}`,
    'ovn-remote': `unix:${layout.sockets}/sb.sock`,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': encapAddress(hostname),
    'ovn-bridge-datapath-type': 'netdev',
  };
  const settings = Object.entries(ids).map(([key, value]) => `external_ids:${key}="${value}"`);
  await vsctl('--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.', ...settings);
  await vsctl(
    ...['--may-exist', 'add-br', BRIDGE, '--'],
    ...['set', 'Bridge', BRIDGE, 'datapath_type=netdev', 'fail-mode=secure'],
  );
  await start('controller');
  await programs.ready(
    nameOf('controller'),
    async () => (await sbctl('--bare', '--columns=name', 'find', 'chassis', `hostname="${hostname}"`)).trim() !== '',
    60_000,
  );
  return {
    hostname,
    ovsdb: `unix:${socket}`,
    runDir,
    bridge: BRIDGE,
    netnsPid,
    vsctl,
    stop: (part) => programs.stop(nameOf(part)),
    start,
    async end() {
      for (const part of PARTS.toReversed()) await programs.stop(nameOf(part));
      await programs.stop(nameOf('netns'));
      await sbctl('--if-exists', 'chassis-del', `chassis-${hostname}`);
      await rm(home, { recursive: true, force: true });
      await rm(runDir, { recursive: true, force: true });
    },
  };
}

/** OVN wants the ends of tunnels to differ; each namespace has all of 127/8. */
function encapAddress(hostname: string): string {
  const [a = 1, b = 1] = createHash('sha256').update(hostname).digest();
  return `127.1.${a}.${b === 0 || b === 255 ? 1 : b}`;
}

async function isApart(pid: number): Promise<boolean> {
  return (await readlink(`/proc/${pid}/ns/net`)) !== (await readlink('/proc/self/ns/net'));
}

/** Makes the taps that are not there. `ip` is the program with what leads into the namespace before it. */
async function makeDevices(ip: readonly [string, ...string[]], taps: readonly string[]): Promise<void> {
  const [program, ...args] = ip;
  const links = JSON.parse(await tool({}, program, ...args, '-j', 'link', 'show')) as readonly { ifname: string }[];
  const missing = taps.filter((name) => !links.some(({ ifname }) => ifname === name));
  const lines = [
    'link set lo up',
    ...missing.flatMap((name) => [`tuntap add ${name} mode tap`, `link set ${name} up`]),
  ];
  const { code, stderr } = await exec(program, [...args, '-batch', '-'], {
    timeoutMs: 60_000,
    input: `${lines.join('\n')}\n`,
    env: programEnvironment(),
  });
  if (code !== 0) throw new StackError(`representors can't be made: ${stderr.slice(0, 500)}`);
}

async function tool(
  env: Readonly<Record<string, string>>,
  program: string,
  ...args: readonly string[]
): Promise<string> {
  try {
    return (await promisify(execFile)(program, [...args], { env: programEnvironment(env), timeout: 60_000 })).stdout;
  } catch (error) {
    throw new StackError(`${program} failed: ${((error as { stderr?: string }).stderr ?? '').slice(0, 1000)}`, {
      cause: error,
    });
  }
}
