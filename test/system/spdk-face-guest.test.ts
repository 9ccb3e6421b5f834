/** A guest on disks that the SPDK face serves: it boots, sees a disk grow, and goes on when the storage daemon is killed. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectQmp, type QmpClient } from '../../packages/qmp-client/src/index.ts';
import type { HostPart, StoragePart } from '../../virtual-dpu/description.ts';
import { startHost, stopHost } from '../../virtual-dpu/host/host.ts';
import { buildImage } from '../../virtual-dpu/image/build-image.ts';
import { ensureNetns, removeNetns, socNetns } from '../../virtual-dpu/netns.ts';
import type { PartContext } from '../../virtual-dpu/part.ts';
import { makeStateDir, nameOf } from '../../virtual-dpu/paths.ts';
import { startStorage, stopStorage } from '../../virtual-dpu/storage/part.ts';
import { callOnce, gone } from '../support/face-process.ts';
import { type GuestConsole, openGuestConsole } from '../support/guest-console.ts';
import { canHaveVirtualHosts } from '../support/virtual-host.ts';

const MIB = 1024 * 1024;
const BOOT_MS = 240_000;

describe.skipIf(!canHaveVirtualHosts('the SPDK face with a guest'))('a guest on the SPDK face', () => {
  let context: PartContext;
  let host: HostPart;
  let storage: StoragePart;
  let qmp: QmpClient;
  let guest: GuestConsole;
  const call = (method: string, params?: object) => callOnce(storage.spdk, method, params);

  /** What an operator of SPDK does after it was started. */
  const build = async (): Promise<void> => {
    await call('bdev_aio_create', { name: 'boot', filename: join(storage.volumesDir, 'boot.img'), block_size: 512 });
    await call('bdev_aio_create', { name: 'pool', filename: join(storage.volumesDir, 'pool.img'), block_size: 512 });
    const stores = await call('bdev_lvol_get_lvstores');
    if (Array.isArray(stores) && stores.length === 0) {
      await call('bdev_lvol_create_lvstore', { bdev_name: 'pool', lvs_name: 'lvs', cluster_sz: MIB });
      await call('bdev_lvol_create', { lvs_name: 'lvs', lvol_name: 'data', size_in_mib: 16, thin_provision: true });
    }
    await call('vhost_create_blk_controller', { ctrlr: 'disk-boot', dev_name: 'boot' });
    await call('vhost_create_blk_controller', { ctrlr: 'disk-data', dev_name: 'lvs/data' });
  };
  const plug = async (name: string, port: number): Promise<void> => {
    if (storage.front.kind !== 'nbd') throw new Error('not NBD');
    const server = { type: 'unix', path: storage.front.socket };
    await qmp.execute('blockdev-add', {
      driver: 'nbd',
      'node-name': name,
      server,
      export: name,
      'reconnect-delay': 60,
    });
    const driver = 'virtio-blk-pci';
    await qmp.execute('device_add', { driver, id: `fn-${name}`, bus: `rp${port}`, drive: name, bootindex: port });
  };
  /** Runs something that is no child of the guest's shell, which a child's end can end; `/done` tells of it. */
  const background = (command: string) =>
    guest.run(`rm -f /done; (setsid sh -c '(${command}) >/dev/null 2>&1; touch /done' &)`);
  const size = () => guest.run('cat /sys/block/vdb/size');
  const shows = (mib: number) =>
    guest.until('cat /sys/block/vdb/size', (output) => output.trim() === String((mib * MIB) / 512));

  beforeAll(async () => {
    const stateDir = await makeStateDir(await mkdtemp(join(tmpdir(), 'vdpu-')));
    context = { stateDir, name: nameOf(stateDir), front: 'nbd', log: () => undefined };
    await ensureNetns(socNetns(context.name));
    storage = await startStorage(context);
    host = await startHost(context, { memoryMib: 256 });
    qmp = await connectQmp({ path: host.qmp.debug });
    await buildImage({ output: join(storage.volumesDir, 'boot.img'), metadataWait: 0 });
    await writeFile(join(storage.volumesDir, 'pool.img'), '');
    await truncate(join(storage.volumesDir, 'pool.img'), 64 * MIB);
    await build();
    await plug('disk-boot', 1);
    await plug('disk-data', 2);
    guest = await openGuestConsole(host.serial);
    await qmp.execute('cont');
    await guest.login({ ms: BOOT_MS });
  }, BOOT_MS);
  afterAll(async () => {
    guest?.close();
    qmp?.close();
    await stopHost(context);
    await stopStorage(context);
    await removeNetns(socNetns(context.name));
    await rm(context.stateDir, { recursive: true, force: true });
  }, 60_000);

  it('sees its disk grow, whether it is idle or at work', { timeout: BOOT_MS }, async () => {
    expect(await size()).toBe(String((16 * MIB) / 512));
    await call('bdev_lvol_resize', { name: 'lvs/data', size_in_mib: 24 });
    await shows(24);
    await background(
      'while [ ! -e /stop ]; do dd if=/dev/zero of=/dev/vdb bs=4k count=64 conv=fsync || touch /failed; done',
    );
    await call('bdev_lvol_resize', { name: 'lvs/data', size_in_mib: 32 });
    await shows(32);
    await guest.run('touch /stop');
    await guest.until('test -e /done && echo done', (output) => output.includes('done'));
    await guest.run('test ! -e /failed');
    await guest.run(
      'dd if=/dev/urandom of=/new bs=1M count=8 2>/dev/null; dd if=/new of=/dev/vdb bs=1M seek=24 conv=fsync 2>/dev/null',
    );
    expect(await guest.run('dmesg | grep -ci "i/o error" || true')).toBe('0');
  });

  it('keeps in a snapshot what was there, while the guest writes', { timeout: BOOT_MS }, async () => {
    await guest.run('yes BEFORE | head -c 65536 > /before; dd if=/before of=/dev/vdb bs=64k conv=fsync 2>/dev/null');
    await call('bdev_lvol_snapshot', { lvol_name: 'lvs/data', snapshot_name: 'snap' });
    await guest.run('yes AFTER | head -c 65536 > /after; dd if=/after of=/dev/vdb bs=64k conv=fsync 2>/dev/null');
    await call('vhost_create_blk_controller', { ctrlr: 'disk-old', dev_name: 'lvs/snap', readonly: true });
    if (storage.front.kind !== 'nbd') throw new Error('not NBD');
    await qmp.execute('blockdev-add', {
      driver: 'nbd',
      'node-name': 'disk-old',
      server: { type: 'unix', path: storage.front.socket },
      export: 'disk-old',
      'read-only': true,
    });
    await qmp.execute('device_add', { driver: 'virtio-blk-pci', id: 'fn-old', bus: 'rp3', drive: 'disk-old' });
    await guest.until('test -b /dev/vdc && echo there', (output) => output.includes('there'));
    expect(await guest.run('dd if=/dev/vdc bs=64k count=1 2>/dev/null | cmp - /before && echo same')).toContain('same');
    expect(
      await guest.run('dd if=/dev/vdb bs=64k count=1 iflag=direct 2>/dev/null | cmp - /after && echo same'),
    ).toContain('same');
    const released = qmp.waitForEvent('DEVICE_DELETED', {
      match: ({ device }) => device === 'fn-old',
      timeoutMs: 60_000,
    });
    await qmp.execute('device_del', { id: 'fn-old' });
    await released;
    await qmp.execute('blockdev-del', { 'node-name': 'disk-old' });
  });

  it('goes on and has lost nothing when the storage daemon is killed under load', { timeout: BOOT_MS }, async () => {
    await guest.run('dd if=/dev/urandom of=/load bs=1M count=16 2>/dev/null; rm -f /failed');
    await background('dd if=/load of=/dev/vdb bs=16k oflag=direct || touch /failed');
    process.kill(storage.pids.storageDaemon, 'SIGKILL');
    await gone(storage.pids.face);
    storage = await startStorage(context);
    expect(await call('bdev_get_bdevs')).toEqual([]);
    await build();
    await guest.until('test -e /done && echo done', (output) => output.includes('done'));
    await guest.run('test ! -e /failed');
    await guest.run('echo 3 > /proc/sys/vm/drop_caches');
    expect(await guest.run('dd if=/dev/vdb bs=1M count=16 2>/dev/null | cmp - /load && echo same')).toContain('same');
    expect(await guest.run('dmesg | grep -ci "i/o error" || true')).toBe('0');
    await expect(call('vhost_delete_controller', { ctrlr: 'disk-data' })).rejects.toThrow('Device or resource busy');
  });
});
