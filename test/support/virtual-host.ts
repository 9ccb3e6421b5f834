import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectQmp, type QmpClient } from '../../packages/qmp-client/src/index.ts';
import type { StorageFront } from '../../snic-controller/backends/virtual/options.ts';
import type { HostPart } from '../../virtual-dpu/description.ts';
import { startHost, stopHost } from '../../virtual-dpu/host/host.ts';
import { hostPaths, machineArgv, rootPorts } from '../../virtual-dpu/host/machine.ts';
import { initramfs } from '../../virtual-dpu/image/initramfs.ts';
import { guestKernel } from '../../virtual-dpu/image/kernel.ts';
import { ensureNetns, removeNetns, socNetns } from '../../virtual-dpu/netns.ts';
import { makeStateDir, nameOf } from '../../virtual-dpu/paths.ts';
import { spawnDetached, waitForSocket } from '../../virtual-dpu/process.ts';
import { havePrograms } from './qemu-machine.ts';

/** The server of a virtual DPU in a network namespace of its own, switched off, and a storage daemon beside it. */
export interface VirtualHost {
  readonly host: Pick<HostPart, 'qmp' | 'serial' | 'rootPorts'>;
  /** For files of the test; removed with it. */
  readonly dir: string;
  readonly netns: string;
  /** On the `debug` socket; of the QEMU that runs now. */
  readonly qmp: QmpClient;
  readonly storage: TestStorage;
  /** Runs `ip` in the namespace and answers what it printed. */
  ip(...args: readonly string[]): string;
  /** Lets the firmware start from a plugged function; the host must be off. */
  bootFrom(id: string): Promise<void>;
  powerOn(): Promise<void>;
  /** As a BMC takes the power away. */
  powerOff(): Promise<void>;
  /** Kills QEMU, as a power failure would, and starts another with the same settings and empty ports. */
  restart(): Promise<void>;
  /** What is there besides a host without functions: devices, back ends and notes in QEMU, taps in the kernel. */
  remains(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** A qemu-storage-daemon that serves functions as the storage target does. */
export interface TestStorage {
  front(kind: StorageFront['kind']): StorageFront;
  /** Serves a function from a file; by default from an empty one of 1 MiB. */
  serve(
    id: string,
    options?: { readonly file?: string; readonly readOnly?: boolean; readonly kind?: 'vhost-user' },
  ): Promise<void>;
  unserve(id: string): Promise<void>;
  serves(id: string): boolean;
  /** Makes it deaf (SIGSTOP), or hear again. */
  stall(on: boolean): void;
}

/** Whether such hosts can be had here: root, QEMU. With CI set a missing one is a failure, elsewhere it is told. */
export function canHaveVirtualHosts(what: string): boolean {
  const root = process.getuid?.() === 0;
  if (!root && process.env.CI) throw new Error(`${what} needs root`);
  if (!root) process.stderr.write(`${what}: NOT RUN, needs root (network namespaces and taps)\n`);
  return (
    root &&
    havePrograms(what, {
      '/usr/bin/qemu-system-x86_64': 'qemu-system-x86',
      '/usr/bin/qemu-storage-daemon': 'qemu-system-common',
    })
  );
}

/** What a test host is. */
export interface VirtualHostOptions {
  readonly memoryMib?: number;
  /** Boot the small guest by itself, without a disk. */
  readonly kernel?: boolean;
}

/** Starts one. */
export async function startVirtualHost(options: VirtualHostOptions = {}): Promise<VirtualHost> {
  const stateDir = await makeStateDir(await mkdtemp(join(tmpdir(), 'vb-')));
  const name = nameOf(stateDir);
  const netns = socNetns(name);
  const context = { stateDir, name, front: 'nbd', log: () => {} } as const;
  const ip = (...args: readonly string[]): string =>
    execFileSync('ip', ['-n', netns, ...args], { encoding: 'utf8', timeout: 10_000, stdio: 'pipe' });
  const ended: (() => Promise<void>)[] = [() => rm(stateDir, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of ended.splice(0).toReversed()) await end();
  };
  try {
    await ensureNetns(netns);
    ended.push(() => removeNetns(netns));
    const daemon = await startStorage(stateDir);
    ended.push(daemon.end);
    // ended before its storage, which it would wait for
    const memoryMib = options.memoryMib ?? 128;
    const start = () =>
      options.kernel ? startKernel(stateDir, name, memoryMib) : startHost(context, { memoryMib }).then(() => {});
    ended.push(() => stopHost(context));
    await start();
    const host = { ...hostPaths(stateDir), rootPorts: rootPorts() };
    let qmp = await connectQmp({ path: host.qmp.debug });
    ended.push(async () => qmp.close());
    return {
      host,
      dir: stateDir,
      netns,
      get qmp() {
        return qmp;
      },
      storage: daemon.storage,
      ip,
      bootFrom: async (id) => {
        await qmp.execute('qom-set', { path: `/machine/peripheral/fn-${id}`, property: 'bootindex', value: 1 });
        await qmp.execute('system_reset'); // which writes the boot order for the firmware
      },
      powerOn: async () => {
        if ((await qmp.execute('query-status')).status === 'shutdown') await qmp.execute('system_reset');
        await qmp.execute('cont');
      },
      powerOff: async () => {
        await qmp.execute('stop');
        const reset = qmp.waitForEvent('RESET');
        await qmp.execute('system_reset');
        await reset;
        while ((await qmp.execute('query-status')).status !== 'prelaunch') await pause(5);
      },
      restart: async () => {
        qmp.close();
        await stopHost(context);
        await start();
        qmp = await connectQmp({ path: host.qmp.debug });
      },
      remains: async () => [...(await remainsInQemu(qmp)), ...remainsInKernel(ip)],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A host with the guest's kernel and all of its files given to QEMU. */
async function startKernel(stateDir: string, name: string, memoryMib: number): Promise<void> {
  const kernel = await guestKernel();
  const initrd = join(stateDir, 'initrd.gz');
  const guest = { hostname: 'guest', passwordHash: '', banner: '', metadataWait: 0 };
  await writeFile(initrd, await initramfs(kernel, guest));
  const paths = hostPaths(stateDir);
  await mkdir(join(stateDir, 'host'), { recursive: true });
  const uuid = '6f1c3bb2-0f4e-4a53-9e0e-3d1f6a5b7c22';
  const settings = { arch: 'x86_64', accel: 'tcg', cpus: 1, memoryMib, serialNumber: 'TEST', uuid } as const;
  const append = 'console=ttyS0 quiet panic=1 mitigations=off';
  const boot = ['-kernel', kernel.file, '-initrd', initrd, '-append', append];
  const owner = { stateDir, name: 'qemu' }; // as stopHost knows it
  const argv = [...machineArgv(name, settings, paths), ...boot] as const;
  const record = await spawnDetached({ ...owner, argv: [argv[0], ...argv.slice(1)], netns: socNetns(name) });
  await waitForSocket(paths.qmp.debug, { owner: { ...owner, record } });
}

async function remainsInQemu(qmp: QmpClient): Promise<readonly string[]> {
  const children = async (path: string): Promise<readonly string[]> =>
    (await qmp.execute('qom-list', { path })).flatMap(({ name, type }) =>
      type.startsWith('child<') && type !== 'child<pcie-root-port>' ? [`${path}/${name}`] : [],
    );
  const objects = (await children('/objects')).filter((each) => each !== '/objects/mem0');
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true })).map(
    (each) => `node ${each['node-name']}`,
  );
  const chardevs = (await qmp.executeAny('query-chardev')) as readonly { readonly label: string }[];
  const ours = chardevs.flatMap(({ label }) => (/^[pv]f-/.test(label) ? [`chardev ${label}`] : []));
  const network = await qmp.executeAny('human-monitor-command', { 'command-line': 'info network' });
  const netdevs = String(network)
    .split('\r\n')
    .filter((line) => line.trim() !== '');
  const peripherals = [...(await children('/machine/peripheral')), ...(await children('/machine/peripheral-anon'))];
  return [...peripherals, ...objects, ...nodes, ...ours, ...netdevs];
}

function remainsInKernel(ip: VirtualHost['ip']): readonly string[] {
  const links: readonly { readonly ifname?: string }[] = JSON.parse(ip('-j', 'link', 'show'));
  return links.flatMap(({ ifname }) => (ifname === undefined || ifname === 'lo' ? [] : [`link ${ifname}`]));
}

async function startStorage(stateDir: string): Promise<{ readonly storage: TestStorage; end(): Promise<void> }> {
  const at = (file: string): string => join(stateDir, file);
  const child = spawn(
    'qemu-storage-daemon',
    [
      ...['--chardev', `socket,id=m,path=${at('qsd.sock')},server=on,wait=off`, '--monitor', 'chardev=m'],
      ...['--nbd-server', `addr.type=unix,addr.path=${at('nbd.sock')}`],
    ],
    { stdio: 'ignore' },
  );
  const qmp = await connectSoon(at('qsd.sock'), child);
  const end = async (): Promise<void> => {
    qmp.close();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  let count = 0;
  const served = new Map<string, string>();
  const storage: TestStorage = {
    front: (kind) => (kind === 'nbd' ? { kind, socket: at('nbd.sock') } : { kind, dir: stateDir }),
    serve: async (id, { file, readOnly = false, kind } = {}) => {
      count += 1;
      const node = `node${count}`;
      served.set(id, node);
      const filename = file ?? at(`disk${count}`);
      if (file === undefined) await writeFile(filename, Buffer.alloc(1 << 20));
      await qmp.execute('blockdev-add', { driver: 'file', 'node-name': node, filename });
      const shared = { id: `x-${node}`, 'node-name': node, writable: !readOnly };
      if (kind === undefined) await qmp.execute('block-export-add', { type: 'nbd', name: id, ...shared });
      else
        await qmp.execute('block-export-add', { type: `${kind}-blk`, addr: { type: 'unix', path: at(id) }, ...shared });
    },
    unserve: async (id) => {
      const node = served.get(id);
      if (node === undefined) return;
      served.delete(id);
      const gone = qmp.waitForEvent('BLOCK_EXPORT_DELETED');
      await qmp.execute('block-export-del', { id: `x-${node}`, mode: 'hard' });
      await gone;
      await qmp.execute('blockdev-del', { 'node-name': node });
    },
    serves: (id) => served.has(id),
    stall: (on) => void child.kill(on ? 'SIGSTOP' : 'SIGCONT'),
  };
  return { storage, end };
}

async function connectSoon(path: string, child: ChildProcess): Promise<QmpClient> {
  for (;;) {
    try {
      return await connectQmp({ path });
    } catch (error) {
      if (child.exitCode !== null) throw error;
      await pause(10);
    }
  }
}
