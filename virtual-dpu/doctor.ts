/** Tells what of a machine would stand in the way of a virtual DPU, by trying it. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { hasCode } from '../core/errors.ts';
import { tryAccel } from './host/kvm-trial.ts';
import { ensureNetns, removeNetns } from './netns.ts';
import { checkStateDir } from './paths.ts';
import { runTool } from './process.ts';
import { CONVENIENCES, missing, missingCapabilities, type Requirement, requirements } from './requirements.ts';

/** What was found out about one thing. */
export interface Finding {
  readonly id: string;
  /** `fail`: there can be no virtual DPU. `warn`: it works, but for what is said. */
  readonly level: 'ok' | 'warn' | 'fail';
  readonly text: string;
}

const MIB = 1 << 20;

/** Names of virtual DPUs' namespaces, see netns.ts. */
const NETNS = /^vdpu-[0-9a-f]{8}(-t)?$/;

/** Examines this machine for a virtual DPU in a state directory, which need not exist. What it makes to try something it takes away. */
export async function examine(
  stateDir: string,
  options: { readonly kvmDeadlineMs?: number } = {},
): Promise<readonly Finding[]> {
  const [network, kvm, loopback, disk, leftovers] = await Promise.all([
    tryNetwork(),
    tryKvm(options.kvmDeadlineMs ?? 5000),
    tryLoopback(),
    lookAtDisk(stateDir),
    lookForLeftovers(),
  ]);
  return [
    ...lookAtPrograms(),
    lookAtRights(),
    ...network,
    kvm,
    loopback,
    disk,
    lookAtMemory(),
    lookAtPaths(stateDir),
    leftovers,
  ];
}

function lookAtPrograms(): readonly Finding[] {
  const base = requirements({ arch: 'x86_64', ovn: false, tenant: true });
  const extra = (arch: 'x86_64' | 'aarch64', ovn: boolean) =>
    requirements({ arch, ovn, tenant: true }).filter(({ file }) => !base.some((each) => each.file === file));
  return [
    lookFor('packages', 'fail', base, 'all programs that it needs are here'),
    lookFor('conveniences', 'warn', CONVENIENCES, 'all programs that single commands need are here'),
    lookFor('ovn', 'warn', extra('x86_64', true), 'OVN is here (--ovn)'),
    lookFor('aarch64', 'warn', extra('aarch64', false), 'QEMU for aarch64 is here (--arch aarch64)'),
  ];
}

function lookFor(id: string, level: 'warn' | 'fail', list: readonly Requirement[], fine: string): Finding {
  const absent = missing(list);
  if (absent.length === 0) return { id, level: 'ok', text: fine };
  const what = absent.map(({ file, why }) => `${file} (${why})`).join(', ');
  const packages = [...new Set(absent.map((each) => each.package))].join(' ');
  return { id, level, text: `not here: ${what}; as root: apt-get install --no-install-recommends ${packages}` };
}

function lookAtRights(): Finding {
  const absent = missingCapabilities();
  return absent.length === 0
    ? { id: 'rights', level: 'ok', text: 'this process may make network namespaces' }
    : {
        id: 'rights',
        level: 'fail',
        text: `network namespaces and taps need root: ${absent.join(' and ')} is missing`,
      };
}

/** Namespace, tap and veth as `up` makes them. */
async function tryNetwork(): Promise<readonly Finding[]> {
  const netns = `vdpu-trial-${randomBytes(3).toString('hex')}`;
  try {
    await ensureNetns(netns);
  } catch (error) {
    return [{ id: 'netns', level: 'fail', text: `no network namespace can be made: ${said(error)}` }];
  }
  try {
    const made: Finding = { id: 'netns', level: 'ok', text: 'network namespaces can be made' };
    return [made, await tryTap(netns), await tryVeth(netns)];
  } finally {
    await removeNetns(netns);
  }
}

async function tryTap(netns: string): Promise<Finding> {
  if (!existsSync('/dev/net/tun')) {
    return { id: 'tun', level: 'fail', text: 'there is no /dev/net/tun (modprobe tun), and representors are taps' };
  }
  try {
    await runTool(['ip', '-n', netns, 'tuntap', 'add', 'tap0', 'mode', 'tap']);
    return { id: 'tun', level: 'ok', text: 'taps can be made' };
  } catch (error) {
    return { id: 'tun', level: 'fail', text: `no tap can be made: ${said(error)}` };
  }
}

async function tryVeth(netns: string): Promise<Finding> {
  const id = 'checksums';
  try {
    await runTool(['ip', '-n', netns, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1']);
    await runTool(['ethtool', '-K', 'veth0', 'tx', 'off'], { netns });
    const features = await runTool(['ethtool', '-k', 'veth0'], { netns });
    if (/^tx-checksumming: off/m.test(features)) {
      return {
        id,
        level: 'ok',
        text: "a veth's checksum offload can be switched off, as userspace Open vSwitch needs it",
      };
    }
    return { id, level: 'fail', text: "a veth's checksum offload stays on: ping would work, and TCP would hang" };
  } catch (error) {
    return { id, level: 'fail', text: `no veth with checksums of its own can be made: ${said(error)}` };
  }
}

async function tryKvm(deadlineMs: number): Promise<Finding> {
  const verdict = await tryAccel('kvm', { deadlineMs });
  return verdict.usable
    ? { id: 'kvm', level: 'ok', text: 'KVM runs a trial guest (--accel kvm)' }
    : {
        id: 'kvm',
        level: 'warn',
        text: `no usable KVM: ${verdict.why}; TCG is used, a guest boots in seconds all the same`,
      };
}

function tryLoopback(): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) =>
      resolve({ id: 'ports', level: 'fail', text: `no free port on 127.0.0.1 for the BMC: ${said(error)}` }),
    );
    server.listen(0, '127.0.0.1', () =>
      server.close(() => resolve({ id: 'ports', level: 'ok', text: 'there are free ports on 127.0.0.1 for the BMC' })),
    );
  });
}

async function lookAtDisk(stateDir: string): Promise<Finding> {
  let dir = stateDir;
  while (!existsSync(dir)) dir = dirname(dir);
  const { bavail, bsize } = await statfs(dir);
  const free = Math.floor((bavail * bsize) / MIB);
  const level = free < 128 ? 'fail' : free < 1024 ? 'warn' : 'ok';
  return {
    id: 'disk',
    level,
    text: `${free} MiB are free at ${dir}${level === 'ok' ? '' : ', where volumes will be'}`,
  };
}

function lookAtMemory(): Finding {
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? '0';
  const free = Math.floor(Number(kib) / 1024);
  const level = free < 1024 ? 'warn' : 'ok';
  return { id: 'memory', level, text: `${free} MiB of memory are free${level === 'ok' ? '' : ': see --memory'}` };
}

/** Namespaces of virtual DPUs that nobody is in: somebody killed what ran there, and never called `down`. */
async function lookForLeftovers(): Promise<Finding> {
  const id = 'leftovers';
  const names = existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => NETNS.test(name)) : [];
  const empty: string[] = [];
  for (const name of names) {
    try {
      if ((await runTool(['ip', 'netns', 'pids', name])).trim() === '') empty.push(name);
    } catch (error) {
      if (!hasCode(error, 'hardware')) throw error; // else it went away, or is not ours to look at
    }
  }
  return empty.length === 0
    ? { id, level: 'ok', text: 'no namespace of a dead virtual DPU is left' }
    : {
        id,
        level: 'warn',
        text: `empty namespaces are left: down on their state directories, or ip netns delete ${empty.join(' ')}`,
      };
}

function lookAtPaths(stateDir: string): Finding {
  try {
    checkStateDir(stateDir);
    return { id: 'paths', level: 'ok', text: `${stateDir} is short enough for unix sockets` };
  } catch (error) {
    return { id: 'paths', level: 'fail', text: said(error) };
  }
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
