import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectQmp, type QmpClient } from 'qmp-client';
import type { HostPart } from '../../virtual-dpu/description.ts';
import { bootSector, type PowerButton } from './boot-sector.ts';

const QEMU = '/usr/bin/qemu-system-x86_64';

/** A QEMU machine as the virtual DPU's host is one, switched off, in a state directory of its own. */
export interface TestMachine {
  readonly stateDir: string;
  readonly host: HostPart;
  /** On the `debug` socket. */
  readonly qmp: QmpClient;
  /** Plugs a disk of one boot sector into `rp<port>`, that prints `text` when it is booted. */
  plugDisk(id: string, port: number, text: string, button?: PowerButton): Promise<void>;
  plugNic(id: string, port: number, mac: string): Promise<void>;
  /** Ends it without a word. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** Whether the Debian packages are there; with CI set their absence is a failure, elsewhere it is told. */
export function havePrograms(what: string, programs: Readonly<Record<string, string>>): boolean {
  const missing = Object.entries(programs).filter(([path]) => !existsSync(path));
  const packages = missing.map(([, name]) => name).join(', ');
  if (missing.length > 0 && process.env.CI) throw new Error(`${what} needs the Debian packages ${packages}`);
  if (missing.length > 0) process.stderr.write(`${what}: NOT RUN, not installed: ${packages}\n`);
  return missing.length === 0;
}

/** Starts one with eight root ports, stopped before its first instruction. */
export async function startMachine(): Promise<TestMachine> {
  const stateDir = await mkdtemp(join(tmpdir(), 'vdpu-bmc-'));
  const run = join(stateDir, 'run');
  await mkdir(run);
  await mkdir(join(stateDir, 'log'));
  const socket = (name: string): string => join(run, `${name}.qmp`);
  const qmpSockets = { bmc: socket('bmc'), snic: socket('snic'), storage: socket('storage'), debug: socket('debug') };
  const rootPorts = Array.from({ length: 8 }, (_, index) => ({ index, id: `rp${index}`, bdf: bdfOf(index) }));
  const uuid = '6f1c3bb2-0f4e-4a53-9e0e-3d1f6a5b7c21';
  const serial = join(run, 'host.serial');
  const child = spawn(
    QEMU,
    [
      ...['-name', 'test', '-accel', 'tcg', '-M', 'q35', '-m', '64', '-smp', '2', '-nodefaults', '-display', 'none'],
      ...['-S', '-no-shutdown', '-boot', 'strict=on', '-uuid', uuid],
      ...['-smbios', 'type=1,manufacturer=VDPU,product=virtual-server,serial=SN-TEST-1'],
      ...Object.values(qmpSockets).flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]),
      ...['-chardev', `socket,id=ser0,path=${serial},server=on,wait=off`, '-serial', 'chardev:ser0'],
      ...rootPorts.flatMap(({ index, id }) => [
        '-device',
        `pcie-root-port,id=${id},bus=pcie.0,chassis=${index + 1},slot=${index + 1},addr=0x${(0x10 + index).toString(16)}`,
      ]),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await once(child, 'spawn');
  const qmp = await connectSoon(qmpSockets.debug, child);
  return {
    stateDir,
    qmp,
    host: {
      pid: child.pid ?? 0,
      uuid,
      serialNumber: 'SN-TEST-1',
      arch: 'x86_64',
      accel: 'tcg',
      cpus: 2,
      memoryMib: 64,
      qmp: qmpSockets,
      serial,
      serialLog: join(stateDir, 'log', 'serial.log'),
      rootPorts,
    },
    async plugDisk(id, port, text, button) {
      const file = join(stateDir, `${id}.img`);
      await writeFile(file, Buffer.concat([bootSector(text, button), Buffer.alloc(1024 * 1024 - 512)]));
      await qmp.execute('blockdev-add', {
        driver: 'raw',
        'node-name': `node-${id}`,
        file: { driver: 'file', filename: file },
      });
      const disk = { driver: 'virtio-blk-pci', drive: `node-${id}`, serial: id };
      await qmp.execute('device_add', { ...disk, id: `fn-${id}`, bus: `rp${port}` });
    },
    async plugNic(id, port, mac) {
      await qmp.execute('netdev_add', { type: 'hubport', id: `net-${id}`, hubid: port });
      const nic = { driver: 'virtio-net-pci', netdev: `net-${id}`, mac };
      await qmp.execute('device_add', { ...nic, id: `fn-${id}`, bus: `rp${port}` });
    },
    async kill() {
      await end(child);
    },
    async close() {
      qmp.close();
      await end(child);
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

function bdfOf(index: number): string {
  return `0000:${(index + 1).toString(16).padStart(2, '0')}:00.0`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** QEMU opens its sockets a moment after it was started. */
async function connectSoon(path: string, child: ChildProcess): Promise<QmpClient> {
  for (;;) {
    if (existsSync(path)) {
      try {
        return await connectQmp({ path });
      } catch {
        // Not listening yet: its end is looked at below.
      }
    }
    if (child.exitCode !== null) throw new Error('QEMU ended at once');
    await sleep(10);
  }
}
