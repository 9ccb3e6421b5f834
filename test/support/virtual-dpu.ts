import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { checkPrograms, missingCapabilities } from '../../virtual-dpu/requirements.ts';
import { runInSoc } from '../../virtual-dpu/soc.ts';
import { down, type UpOptions, up } from '../../virtual-dpu/virtual-dpu.ts';
import { addCable, addNamespace, type TestNamespace } from './netns.ts';

const run = promisify(execFile);

/** Whether virtual DPUs can be had here: root, and the programs. With CI set what is missing is a failure, elsewhere it is told. */
export function canHaveVirtualDpus(what: string, wanted: { readonly ovn?: boolean } = {}): boolean {
  try {
    const rights = missingCapabilities();
    if (rights.length > 0) throw new Error(`it needs root (${rights.join(', ')})`);
    checkPrograms({ arch: 'x86_64', ovn: wanted.ovn ?? false, tenant: true });
    return true;
  } catch (error) {
    if (process.env.CI) throw error;
    process.stderr.write(`${what}: NOT RUN, ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  }
}

/** Virtual DPUs of a test, in temporary state directories. */
export interface TestDpus {
  /** A new state directory. */
  stateDir(): Promise<string>;
  /** Brings one up, in a new state directory unless told. */
  up(options?: Partial<UpOptions>): Promise<VirtualDpu>;
  /** Takes down and removes all of them. */
  close(): Promise<void>;
}

/** Keeps account of a test's virtual DPUs. */
export function testDpus(): TestDpus {
  const dirs: string[] = [];
  const stateDir = async (): Promise<string> => {
    const dir = await mkdtemp(join(tmpdir(), 'vdpu-'));
    dirs.push(dir);
    return dir;
  };
  return {
    stateDir,
    up: async (options = {}) =>
      await up({ memoryMib: 128, ...options, stateDir: options.stateDir ?? (await stateDir()) }),
    async close() {
      for (const dir of dirs.splice(0)) {
        await down({ stateDir: dir });
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}

/** A network namespace that acts as the guest of a network function: its `eth0` leads to a representor on the bridge. */
export interface TestGuest {
  readonly mac: string;
  /** Runs a program in the guest. */
  exec(program: string, ...args: string[]): Promise<string>;
  /** Asks for an address by DHCP and takes it, with its routes; answers what was offered, by the names of udhcpc. */
  dhcp(): Promise<Readonly<Record<string, string>>>;
  /** GET with curl: the status and the body. */
  get(url: string): Promise<{ readonly status: number; readonly body: string }>;
  remove(): Promise<void>;
}

/** What udhcpc runs: takes the address, and prints what it was told. */
const DHCP_SCRIPT = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
set -- $staticroutes
while [ $# -ge 2 ]; do ip route add "$1" via "$2"; shift 2; done
echo "DHCP $(env | grep -E '^(ip|router|hostname|mtu|dns|domain|lease|staticroutes)=' | tr ' \\n' ',;')"
`;

/** Joins a guest to the bridge by a representor of this name. */
export async function addGuest(
  dpu: VirtualDpu,
  options: { readonly representor: string; readonly mac: string; readonly ifaceId?: string },
): Promise<TestGuest> {
  const { representor, mac, ifaceId } = options;
  const guest = await addNamespace();
  await addCable({ at: socNamespace(dpu), name: representor }, { at: guest, name: 'eth0', mac });
  await runInSoc(dpu, [
    ...(['ovs-vsctl', '--timeout=10', 'add-port', dpu.network.bridge, representor] as const),
    ...(ifaceId === undefined ? [] : ['--', 'set', 'Interface', representor, `external_ids:iface-id=${ifaceId}`]),
  ]);
  const dir = await mkdtemp(join(tmpdir(), 'guest-'));
  const script = join(dir, 'dhcp.sh');
  await writeFile(script, DHCP_SCRIPT, { mode: 0o700 });
  return {
    mac,
    exec: (program, ...args) => guest.exec(program, ...args),
    async dhcp() {
      const out = await guest.exec(
        'busybox',
        'udhcpc',
        '-i',
        'eth0',
        '-n',
        '-q',
        '-f',
        '-t',
        '20',
        '-T',
        '1',
        '-s',
        script,
        '-O',
        'mtu',
        '-O',
        'staticroutes',
      );
      const said = /^DHCP (.*)$/m.exec(out)?.[1] ?? '';
      return Object.fromEntries(said.split(';').flatMap((word) => (word === '' ? [] : [word.split('=', 2)])));
    },
    async get(url) {
      const out = await guest.exec('curl', '--silent', '--max-time', '20', '--write-out', '\n%{http_code}', url);
      const at = out.lastIndexOf('\n');
      return { status: Number(out.slice(at + 1)), body: out.slice(0, at) };
    },
    async remove() {
      await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', '--if-exists', 'del-port', representor]);
      await guest.remove();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The namespace of a virtual DPU's SoC, which goes with it. */
export function socNamespace(dpu: VirtualDpu): TestNamespace {
  const name = dpu.network.netns;
  const exec = async (program: string, ...args: string[]): Promise<string> =>
    (await run('ip', ['netns', 'exec', name, program, ...args], { timeout: 30_000 })).stdout;
  return { name, exec, ip: (...args) => exec('ip', ...args), remove: async () => undefined };
}
