import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../kit/exec.ts';
import { connectQmp, type QmpClient } from '../../packages/qmp-client/src/index.ts';
import { buildImage, SMALL_IMAGE_BYTES } from '../../virtual-dpu/image/build-image.ts';
import { guestCache } from '../../virtual-dpu/image/kernel.ts';
import { rejection } from '../contract/samples.ts';
import { type GuestConsole, openGuestConsole } from '../support/guest-console.ts';
import { havePrograms } from '../support/qemu-machine.ts';

const runnable = havePrograms('guest images', {
  '/usr/bin/qemu-system-x86_64': 'qemu-system-x86',
  '/bin/busybox': 'busybox-static',
  '/usr/bin/syslinux': 'syslinux',
  '/usr/bin/mcopy': 'mtools',
  '/usr/sbin/mkfs.vfat': 'dosfstools',
  '/usr/sbin/sfdisk': 'fdisk',
  '/usr/bin/xorriso': 'xorriso',
  [join(guestCache(), 'amd64/version')]: '(guest kernel: node tools/setup.mjs test)',
});

const bootMs = 120_000;

describe.runIf(runnable)('the small guest', { timeout: 2 * bootMs }, () => {
  let images: string;
  let image: string;
  let directory: string;
  const machines: Machine[] = [];
  beforeAll(async () => {
    images = await mkdtemp(join(tmpdir(), 'guest-image-'));
    image = await buildImage({ output: join(images, 'small.img'), hostname: 'unnamed' });
  });
  afterAll(() => rm(images, { recursive: true }));
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'guest-'));
  });
  afterEach(async () => {
    for (const machine of machines.splice(0)) await machine.end();
    await rm(directory, { recursive: true });
  });
  const start = async (extra: readonly string[], disk = image): Promise<Machine> => {
    const machine = await startMachine(directory, disk, extra);
    machines.push(machine);
    return machine;
  };

  it('is a sparse raw disk of a known size', async () => {
    const { size, blocks } = await stat(image);
    expect(size).toBe(SMALL_IMAGE_BYTES);
    expect(blocks * 512).toBeLessThan(size);
    await rejection(buildImage({ output: join(images, 'x'), hostname: 'no spaces' }), 'invalid');
    expect(existsSync(join(images, 'x'))).toBe(false);
  });

  it('boots, takes an address by DHCP and lets root in', async () => {
    const { console } = await start(nic(0, 'rp1'));
    const [, mac, address] = await console.expect(/guest: eth0 (\S+) (\S+)\n/, bootMs);
    expect([mac, address]).toEqual(['52:54:00:00:00:00', '10.0.2.15/24']);
    await console.expect('guest: ready: unnamed');
    await console.login();
    const facts = await console.run('facts');
    expect(facts).toContain('nic eth0 0000:02:00.0 52:54:00:00:00:00 10.0.2.15/24');
    expect(facts).toContain(`disk vda 0000:01:00.0 ${SMALL_IMAGE_BYTES} rw boot-disk`);
    expect(facts).toMatch(/^pci 0000:02:00.0 020000 1af4:1041 virtio-pci$/m);
  });

  it('is configured by a NoCloud drive', async () => {
    const drive = await makeDrive(directory, 'cidata', {
      'meta-data': 'instance-id: i-7\nlocal-hostname: from-drive\n',
      'user-data': [
        '#cloud-config',
        'hostname: from-user-data',
        'password: "s3cr3t"',
        'write_files:',
        '  - path: /tmp/deep/file',
        '    content: |',
        '      first',
        "        it's second",
        "    permissions: '0600'",
        'runcmd:',
        '  - echo ran $(hostname) >/tmp/ran',
        '  - [touch, "/tmp/with space"]',
        '',
      ].join('\n'),
    });
    const { console } = await start(disk('drive', drive, 'rp1', true));
    await console.expect('guest: configuration from cidata', bootMs);
    await console.expect('from-user-data login: ');
    console.send('root\n');
    await console.expect('Password: ');
    console.send('wrong\n');
    await console.expect('Login incorrect');
    await console.login({ password: 's3cr3t' });
    expect(await console.run('cat /run/instance-id /tmp/ran')).toBe('i-7\nran from-user-data');
    expect(await console.run('cat /tmp/deep/file; ls "/tmp/with space"')).toBe("first\n  it's second\n/tmp/with space");
    expect(await console.run('stat -c %a /tmp/deep/file')).toBe('600');
  });

  it('is configured by an OpenStack config drive, with a script', async () => {
    const drive = await makeDrive(directory, 'config-2', {
      'openstack/latest/meta_data.json': JSON.stringify({
        uuid: 'u-1',
        hostname: 'vm7.example',
        admin_pass: 'changed',
      }),
      'openstack/latest/user_data': '#!/bin/sh\necho "script in $(hostname)" >/tmp/ran\n',
    });
    const { console } = await start(disk('drive', drive, 'rp1', true));
    await console.expect('vm7 login: ', bootMs);
    console.send('\n');
    await console.login({ password: 'changed' });
    expect(await console.run('cat /run/instance-id; cat /tmp/ran')).toContain('script in vm7');
  });

  it('is configured by the metadata service where it has no drive', async () => {
    const service = await metadataService(directory);
    const net = `user,id=n0,net=169.254.169.0/24,host=169.254.169.2,guestfwd=tcp:169.254.169.254:80-cmd:${service}`;
    const { console } = await start(['-netdev', net, '-device', 'virtio-net-pci,netdev=n0,bus=rp1']);
    await console.expect('guest: configuration from the metadata service', bootMs);
    await console.expect('guest: ready: by-metadata');
    await console.login();
    expect(await console.run('cat /tmp/ran')).toBe('user data of metadata');
  });

  it('takes NICs and disks while it runs, lets them go, and obeys the power button', async () => {
    const { console, qmp } = await start([]);
    await console.login();
    await qmp.execute('netdev_add', { type: 'user', id: 'hot' });
    const mac = '52:54:00:aa:bb:cc';
    await qmp.execute('device_add', { driver: 'virtio-net-pci', id: 'fn-hot', netdev: 'hot', bus: 'rp2', mac });
    await console.expect(`guest: eth0 ${mac} 10.0.2.15/24`);
    expect(await console.run('facts')).toContain(`nic eth0 0000:03:00.0 ${mac}`);
    const deleted = qmp.waitForEvent('DEVICE_DELETED', {
      timeoutMs: bootMs,
      match: ({ device }) => device === 'fn-hot',
    });
    await qmp.execute('device_del', { id: 'fn-hot' });
    await deleted;
    await console.expect('guest: nic eth0 removed');
    expect(await console.run('facts')).not.toContain('nic');

    const hot = join(directory, 'hot.img');
    await writeFile(hot, Buffer.alloc(1024 * 1024, 'disk'));
    await qmp.execute('blockdev-add', { driver: 'raw', 'node-name': 'hot', file: { driver: 'file', filename: hot } });
    await qmp.execute('device_add', {
      driver: 'virtio-blk-pci',
      id: 'fn-disk',
      drive: 'hot',
      bus: 'rp3',
      serial: 'HOT',
    });
    await console.expect('guest: disk vdb added');
    expect(await console.run('facts')).toContain('disk vdb 0000:04:00.0 1048576 rw HOT');
    expect(await console.run('head -c 8 /dev/vdb')).toBe('diskdisk');

    const off = qmp.waitForEvent('SHUTDOWN', { timeoutMs: bootMs });
    await qmp.execute('system_powerdown');
    expect((await off).data).toMatchObject({ guest: true });
  });
});

interface Machine {
  readonly console: GuestConsole;
  readonly qmp: QmpClient;
  end(): Promise<void>;
}

/** A machine with four root ports that is booting from a copy-on-write view of the image. */
async function startMachine(directory: string, image: string, extra: readonly string[]): Promise<Machine> {
  const serial = join(directory, 'serial');
  const qmpPath = join(directory, 'qmp');
  const ports = [0, 1, 2, 3].flatMap((index) => [
    '-device',
    `pcie-root-port,id=rp${index},bus=pcie.0,chassis=${index + 1},slot=${index + 1},addr=0x1${index}`,
  ]);
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg', '-M', 'q35', '-m', '192', '-nodefaults', '-display', 'none', '-no-shutdown', '-snapshot'],
      ...['-qmp', `unix:${qmpPath},server=on,wait=off`],
      ...['-chardev', `socket,id=ser0,path=${serial},server=on,wait=on`, '-serial', 'chardev:ser0'],
      ...ports,
      ...disk('boot-disk', image, 'rp0', false),
      ...extra,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await once(child, 'spawn');
  const console = await openGuestConsole(serial);
  const qmp = await connectSoon(qmpPath);
  return {
    console,
    qmp,
    async end() {
      console.close();
      qmp.close();
      await endProcess(child);
    },
  };
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function connectSoon(path: string): Promise<QmpClient> {
  for (const deadline = performance.now() + 10_000; ; ) {
    try {
      return await connectQmp({ path });
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

function disk(serial: string, file: string, bus: string, readOnly: boolean): readonly string[] {
  const drive = `if=none,id=${serial},file=${file},format=raw${readOnly ? ',readonly=on' : ''}`;
  return ['-drive', drive, '-device', `virtio-blk-pci,drive=${serial},bus=${bus},serial=${serial}`];
}

function nic(index: number, bus: string): readonly string[] {
  const device = `virtio-net-pci,netdev=n${index},bus=${bus},mac=52:54:00:00:00:0${index}`;
  return ['-netdev', `user,id=n${index}`, '-device', device];
}

async function makeDrive(directory: string, label: string, files: Readonly<Record<string, string>>): Promise<string> {
  const content = join(directory, 'drive');
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(content, path, '..'), { recursive: true });
    await writeFile(join(content, path), text);
  }
  const iso = join(directory, 'drive.iso');
  const made = await exec('xorriso', ['-as', 'mkisofs', '-quiet', '-V', label, '-J', '-r', '-o', iso, content], {
    timeoutMs: 30_000,
  });
  expect(made.code).toBe(0);
  return iso;
}

/** A program that answers one HTTP request on its standard input and output, as OpenStack's metadata service would. */
async function metadataService(directory: string): Promise<string> {
  const program = join(directory, 'metadata');
  const metadata = JSON.stringify({ uuid: 'u-2', hostname: 'by-metadata' });
  const userData = '#!/bin/sh\\necho user data of metadata >/tmp/ran\\n';
  await writeFile(
    program,
    [
      '#!/bin/sh',
      'read -r method path version',
      'while read -r line && [ "$line" != "$(printf "\\r")" ]; do :; done',
      'case $path in',
      `  */meta_data.json) printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s' '${metadata}' ;;`,
      `  */user_data) printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${userData}' ;;`,
      "  *) printf 'HTTP/1.0 404 Not Found\\r\\n\\r\\n' ;;",
      'esac',
      '',
    ].join('\n'),
  );
  await chmod(program, 0o755);
  return program;
}
