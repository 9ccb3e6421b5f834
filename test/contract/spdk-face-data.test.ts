/** What the SPDK face does with data, driven by spdk-client's typed methods. */
import { randomUUID } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  aio,
  bdev,
  createSpdkClient,
  deleteVhostController,
  ensureVhostBlkController,
  framework,
  isErrno,
  lvol,
  malloc,
  notify,
  nvme,
  nvmf,
  rbd,
  type SpdkClient,
  vhost,
} from '../../packages/spdk-client/src/index.ts';
import { freePort } from '../../tools/free-port.ts';
import {
  type DiskClient,
  haveStorageDaemon,
  openDisk,
  startTestFace,
  type TestFace,
  until,
} from '../support/face-process.ts';

const MIB = 1024 * 1024;

describe.skipIf(!haveStorageDaemon())('the SPDK face', { timeout: 60_000 }, () => {
  let face: TestFace;
  let spdk: SpdkClient;
  const disks: DiskClient[] = [];
  beforeEach(async () => {
    face = await startTestFace();
    spdk = createSpdkClient({ address: { path: face.part.spdk } });
  });
  afterEach(async () => {
    for (const each of disks.splice(0)) await each.close();
    spdk.close();
    await face.stop();
  });
  const open = async (name: string, readOnly = false) => {
    const disk = await openDisk(face, name, readOnly);
    disks.push(disk);
    return disk;
  };
  const file = async (mib: number, name = 'disk.img') => {
    const filename = join(face.part.volumesDir, name);
    await writeFile(filename, '');
    await truncate(filename, mib * MIB);
    return filename;
  };
  /** A store on a file, a thin volume in it, and that served as `disk`. */
  const volume = async () => {
    await spdk.call(aio.create, { name: 'aio0', filename: await file(64), block_size: 512 });
    await spdk.call(lvol.createStore, { bdev_name: 'aio0', lvs_name: 'lvs', cluster_sz: MIB });
    await spdk.call(lvol.create, { lvs_name: 'lvs', lvol_name: 'vol', size_in_mib: 16, thin_provision: true });
    await spdk.call(vhost.createBlk, { ctrlr: 'disk', dev_name: 'lvs/vol' });
    return await open('disk');
  };

  it('keeps what a snapshot had, and gives it to clones', async () => {
    const disk = await volume();
    await good(disk, 'write -P 1 0 2M');
    const snapshot = await spdk.call(lvol.snapshot, { lvol_name: 'lvs/vol', snapshot_name: 'snap' });
    await good(disk, 'write -P 2 1M 1M');
    await spdk.call(lvol.clone, { snapshot_name: 'lvs/snap', clone_name: 'clone' });
    await spdk.call(vhost.createBlk, { ctrlr: 'old', dev_name: snapshot, readonly: true });
    await spdk.call(vhost.createBlk, { ctrlr: 'new', dev_name: 'lvs/clone' });
    const [old, clone] = [await open('old', true), await open('new')];
    await good(old, 'read -P 1 0 2M');
    await good(clone, 'read -P 1 0 2M');
    await good(clone, 'write -P 3 0 64k');
    await good(old, 'read -P 1 0 2M');
    await good(disk, 'read -P 1 0 1M');
    await good(disk, 'read -P 2 1M 1M');
    const [shown] = await spdk.call(bdev.list, { name: 'lvs/snap' });
    expect(shown?.driver_specific).toMatchObject({ lvol: { snapshot: true, clones: ['vol', 'clone'] } });
  });

  it('lets a volume go from its snapshots without losing data', async () => {
    const disk = await volume();
    await good(disk, 'write -P 1 0 1M');
    await spdk.call(lvol.snapshot, { lvol_name: 'lvs/vol', snapshot_name: 's1' });
    await good(disk, 'write -P 2 1M 1M');
    await spdk.call(lvol.snapshot, { lvol_name: 'lvs/vol', snapshot_name: 's2' });
    await good(disk, 'write -P 3 2M 1M');
    const whole = async () => {
      for (const [at, pattern] of [1, 2, 3].entries()) await good(disk, `read -P ${pattern} ${at}M 1M`);
      await good(disk, 'read -P 0 3M 13M');
    };
    await spdk.call(lvol.decoupleParent, { name: 'lvs/vol' });
    await whole();
    await spdk.call(lvol.remove, { name: 'lvs/s2' });
    await spdk.call(lvol.remove, { name: 'lvs/s1' }); // its only clone takes what it had
    await whole();
    await spdk.call(lvol.snapshot, { lvol_name: 'lvs/vol', snapshot_name: 's3' });
    await spdk.call(lvol.inflate, { name: 'lvs/vol' });
    await spdk.call(lvol.remove, { name: 'lvs/s3' });
    await whole();
    expect(await spdk.call(lvol.list, { lvs_name: 'lvs' })).toMatchObject([
      { name: 'vol', is_clone: false, is_thin_provisioned: false },
    ]);
  });

  it('brings the volumes of a store back after it was killed, with all that was acknowledged', async () => {
    const disk = await volume();
    await good(disk, 'write -P 1 0 1M');
    await spdk.call(lvol.snapshot, { lvol_name: 'lvs/vol', snapshot_name: 'snap' });
    // under load: what was acknowledged is counted, and nothing is flushed
    for (let at = 0; at < 8; at += 1) await disk.run(`aio_write -P ${at + 10} ${at}M 1M`);
    const before = await spdk.call(lvol.list, {});
    const crash = face.crash();
    for (let at = 8; at < 16; at += 1) await disk.run(`aio_write -P ${at + 10} ${at}M 1M`);
    await crash;
    expect(await spdk.call(bdev.list, {})).toEqual([]);
    await spdk.call(aio.create, {
      name: 'aio0',
      filename: join(face.part.volumesDir, 'disk.img'),
      block_size: 512,
    });
    expect(await spdk.call(lvol.list, {})).toEqual(before);
    await spdk.call(vhost.createBlk, { ctrlr: 'disk', dev_name: 'lvs/vol' });
    const said = await disk.run('aio_flush');
    expect(said).not.toMatch(/fail|error/i);
    for (let at = 0; at < 16; at += 1) await good(disk, `read -P ${at + 10} ${at}M 1M`);
    await spdk.call(vhost.createBlk, { ctrlr: 'old', dev_name: 'lvs/snap', readonly: true });
    await good(await open('old', true), 'read -P 1 0 1M');
  });

  it('loses no acknowledged write when it is killed, though nobody flushed', async () => {
    const disk = await volume();
    await good(disk, 'write -P 1 0 4k');
    await spdk.call(lvol.snapshot, { lvol_name: 'lvs/vol', snapshot_name: 'snap' });
    for (let at = 0; at < 16; at += 1) await good(disk, `write -P ${at + 1} ${at}M 4k`);
    await face.crash();
    await spdk.call(aio.create, { name: 'aio0', filename: join(face.part.volumesDir, 'disk.img') });
    await spdk.call(vhost.createBlk, { ctrlr: 'disk', dev_name: 'lvs/vol' });
    for (let at = 0; at < 16; at += 1) await good(disk, `read -P ${at + 1} ${at}M 4k`);
  });

  it('resizes under a client, which sees no error', async () => {
    const disk = await volume();
    await good(disk, 'write -P 1 0 16M');
    await spdk.call(lvol.resize, { name: 'lvs/vol', size_in_mib: 24 });
    await good(disk, 'read -P 1 0 16M');
    const again = await open('disk');
    expect(await again.run('length')).toContain('24 MiB');
    await good(again, 'write -P 2 16M 8M');
    const [shown] = await spdk.call(bdev.list, { name: 'lvs/vol' });
    expect(shown).toMatchObject({ num_blocks: (24 * MIB) / 512 });
    await truncate(join(face.part.volumesDir, 'disk.img'), 128 * MIB);
    await spdk.call(aio.rescan, { name: 'aio0' });
    expect(await spdk.call(lvol.stores, {})).toMatchObject([{ total_data_clusters: 127 }]);
    await expect(
      spdk.call(lvol.create, { lvs_name: 'lvs', lvol_name: 'thick', size_in_mib: 128 }),
    ).rejects.toMatchObject({ peerMessage: 'No space left on device' });
  });

  it('limits what a disk may do', async () => {
    await spdk.call(malloc.create, { name: 'm0', num_blocks: 65536, block_size: 512 });
    await spdk.call(vhost.createBlk, { ctrlr: 'disk', dev_name: 'm0' });
    const disk = await open('disk');
    const seconds = async () => {
      const begun = performance.now();
      await good(disk, 'write -P 1 0 4M');
      return (performance.now() - begun) / 1000;
    };
    await seconds();
    await spdk.call(bdev.setQos, { name: 'm0', rw_mbytes_per_sec: 2, w_mbytes_per_sec: 1, rw_ios_per_sec: 1500 });
    expect(await spdk.call(bdev.list, { name: 'm0' })).toMatchObject([
      {
        assigned_rate_limits: { rw_ios_per_sec: 2000, rw_mbytes_per_sec: 2, r_mbytes_per_sec: 0, w_mbytes_per_sec: 1 },
      },
    ]);
    await seconds(); // what may come at once is used up
    expect(await seconds()).toBeGreaterThan(2); // 4 MiB at 1 MiB a second, and what came together meanwhile
    const { bdevs } = await spdk.call(bdev.iostat, { name: 'm0' });
    expect(bdevs).toMatchObject([{ bytes_written: 12 * MIB }]);
  });

  it('makes a volume read-only for those who have it open, and takes a disk away under them', async () => {
    const disk = await volume();
    await good(disk, 'write -P 1 0 1M');
    await spdk.call(lvol.setReadOnly, { name: 'lvs/vol' });
    expect(await disk.run('write -P 2 0 1M')).toMatch(/failed/);
    await good(disk, 'read -P 1 0 1M');
    await good(await open('disk', true), 'read -P 1 0 1M');
    await spdk.call(aio.remove, { name: 'aio0' });
    expect(await spdk.call(lvol.stores, {})).toEqual([]);
    expect(await (await open('disk', true)).run('read 0 512')).toContain('Input/output error');
    expect(await spdk.call(vhost.list, { name: 'disk' })).toMatchObject([
      { backend_specific: { block: { bdev: null } } },
    ]);
  });

  it('does what spdk-client has typed methods for', async () => {
    expect((await spdk.call(framework.version)).version).toBe('SPDK v24.01');
    const methods = new Set(await spdk.call(framework.methods, {}));
    for (const each of ['bdev_aio_create', 'vhost_create_blk_controller', 'bdev_rbd_create'])
      expect(methods).toContain(each);
    const waiting = spdk.call(bdev.list, { name: 'm0', timeout: 20_000 });
    expect(await spdk.call(framework.waitInit)).toBe(true); // it does not wait behind the one before
    const uuid = randomUUID();
    await spdk.call(malloc.create, { name: 'm0', num_blocks: 2048, block_size: 512, uuid });
    await expect(spdk.call(malloc.create, { num_blocks: 2048, block_size: 512, uuid })).rejects.toSatisfy((error) =>
      isErrno(error, 'EEXIST'),
    );
    expect(await waiting).toMatchObject([{ name: 'm0', uuid, aliases: [uuid] }]);
    await expect(spdk.call(bdev.list, { name: 'none', timeout: 1 })).rejects.toSatisfy((error) =>
      isErrno(error, 'ENODEV'),
    );

    expect(await ensureVhostBlkController(spdk, { ctrlr: 'c', dev_name: 'm0' })).toBe('created');
    expect(await ensureVhostBlkController(spdk, { ctrlr: 'c', dev_name: uuid })).toBe('existed');
    const disk = await open('c');
    await expect(deleteVhostController(spdk, 'c')).rejects.toMatchObject({ name: 'InUseError' });
    await disk.close();
    await expect.poll(() => deleteVhostController(spdk, 'c').catch(() => 'busy')).toBe('deleted');

    const port = String(await freePort());
    const address = { trtype: 'TCP', adrfam: 'IPv4', traddr: '127.0.0.1', trsvcid: port } as const;
    await spdk.call(nvmf.createTransport, { trtype: 'TCP' });
    await spdk.call(nvmf.createSubsystem, { nqn: 'nqn.2016-06.io.spdk:x', allow_any_host: true });
    await spdk.call(nvmf.addNamespace, { nqn: 'nqn.2016-06.io.spdk:x', namespace: { bdev_name: 'm0' } });
    await spdk.call(nvmf.addListener, { nqn: 'nqn.2016-06.io.spdk:x', listen_address: address });
    const attach = { name: 'N', ...address, subnqn: 'nqn.2016-06.io.spdk:x' } as const;
    await expect(spdk.call(nvme.attach, attach)).rejects.toSatisfy((error) => isErrno(error, 'EEXIST'));
    const other = await startTestFace();
    const initiator = createSpdkClient({ address: { path: other.part.spdk } });
    try {
      expect(await initiator.call(nvme.attach, attach)).toEqual(['Nn1']);
      await spdk.call(nvmf.removeNamespace, { nqn: 'nqn.2016-06.io.spdk:x', nsid: 1 });
      await expect.poll(() => initiator.call(bdev.list, {}), { timeout: 10_000 }).toEqual([]);
      await spdk.call(nvmf.removeListener, { nqn: 'nqn.2016-06.io.spdk:x', listen_address: address });
      await initiator.call(nvme.detach, { name: 'N' });
    } finally {
      initiator.close();
      await other.stop();
    }
    await spdk.call(nvmf.removeSubsystem, { nqn: 'nqn.2016-06.io.spdk:x' });

    expect(await spdk.call(rbd.registerCluster, { name: 'ceph', user_id: 'cinder' })).toBe('ceph');
    expect(await spdk.call(rbd.clusters, {})).toMatchObject([{ cluster_name: 'ceph' }]);
    expect(await spdk.call(rbd.unregisterCluster, { name: 'ceph' })).toBe(true);

    await spdk.call(malloc.remove, { name: 'm0' });
    expect(await spdk.call(notify.list, { id: 0, max: 10 })).toMatchObject([
      { type: 'bdev_register', ctx: 'm0', id: 0 },
      { type: 'bdev_unregister', ctx: 'm0', id: 1 },
    ]);
    expect(await leftOver(face)).toEqual([]);
  });

  it('goes on whatever is sent to it', async () => {
    await spdk.call(malloc.create, { name: 'm0', num_blocks: 2048, block_size: 512 });
    const methods = await spdk.call(framework.methods, {});
    const values = fc.oneof(
      fc.json().map((text) => JSON.parse(text) as unknown),
      fc.constantFrom('m0', '', 'a/b', 0, -1, 1e300),
    );
    const members = [
      ...['name', 'ctrlr', 'dev_name', 'lvs_name', 'lvol_name', 'bdev_name', 'nqn', 'filename', 'num_blocks'],
      ...['block_size', 'size_in_mib', 'snapshot_name', 'namespace', 'listen_address', 'trtype', 'traddr', 'uuid'],
    ];
    const params = fc.dictionary(fc.constantFrom(...members), values, { maxKeys: 5 });
    // mostly requests that can be read; the rest must not end more than its connection
    const request = fc.record(
      { jsonrpc: fc.constant('2.0'), method: fc.constantFrom(...methods), params, id: fc.nat() },
      { requiredKeys: ['method', 'id'] },
    );
    const sent = fc.oneof(
      { weight: 5, arbitrary: request.map((each) => JSON.stringify(each)) },
      { weight: 1, arbitrary: fc.json() },
      { weight: 1, arbitrary: fc.string() },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { maxLength: 8 }), async (texts) => {
        const socket = connect(face.part.spdk);
        socket.on('error', () => socket.destroy());
        socket.end(texts.join(''));
        socket.resume();
        await new Promise((resolve) => socket.once('close', resolve));
      }),
      { numRuns: 150 },
    );
    expect((await spdk.call(framework.version)).version).toBe('SPDK v24.01');
    expect(await readFile(join(face.dir, 'log/spdk-face.log'), 'utf8')).not.toContain('unexpected way');
  });

  it('survives what is no NBD at its gate', async () => {
    await spdk.call(malloc.create, { name: 'm0', num_blocks: 2048, block_size: 512 });
    await spdk.call(vhost.createBlk, { ctrlr: 'c', dev_name: 'm0' });
    const { front } = face.part;
    if (front.kind !== 'nbd') throw new Error('no gate');
    const bytes = fc.uint8Array({ maxLength: 200 });
    const flags = Buffer.from([0, 0, 0, 3]);
    const magic = Buffer.from('IHAVEOPT');
    await fc.assert(
      fc.asyncProperty(bytes, fc.boolean(), fc.boolean(), async (noise, withFlags, withMagic) => {
        const socket = connect(front.socket);
        socket.on('error', () => socket.destroy());
        await until(socket, (text) => text.length >= 18);
        socket.end(Buffer.concat([...(withFlags ? [flags] : []), ...(withMagic ? [magic] : []), noise]));
        socket.resume();
        await new Promise((resolve) => socket.once('close', resolve));
      }),
      { numRuns: 60 },
    );
    const disk = await open('c');
    await good(disk, 'write -P 1 0 64k');
    expect((await spdk.call(vhost.list, { name: 'c' }))[0]?.sessions).toHaveLength(1);
  });
});

describe.skipIf(!haveStorageDaemon())('the SPDK face with vhost-user', () => {
  it('has a socket for each controller and knows who is connected', async () => {
    const face = await startTestFace('vhost-user');
    try {
      if (face.part.front.kind !== 'vhost-user') throw new Error('not asked for');
      await face.call('bdev_malloc_create', { name: 'm0', num_blocks: 2048, block_size: 512 });
      await face.call('vhost_create_blk_controller', { ctrlr: 'pf0', dev_name: 'm0' });
      await expect(
        face.call('vhost_create_blk_controller', { ctrlr: 'x'.repeat(100), dev_name: 'm0' }),
      ).rejects.toThrow('Invalid argument');
      const socket = connect(join(face.part.front.dir, 'pf0'));
      const sessions = async () => {
        const [found] = (await face.call('vhost_get_controllers')) as { sessions: unknown[] }[];
        return found?.sessions.length;
      };
      await expect.poll(sessions).toBe(1);
      await expect(face.call('vhost_delete_controller', { ctrlr: 'pf0' })).rejects.toThrow('Device or resource busy');
      socket.destroy();
      await expect.poll(sessions).toBe(0);
      expect(await face.call('vhost_delete_controller', { ctrlr: 'pf0' })).toBe(true);
    } finally {
      await face.stop();
    }
  });
});

/** Runs a command of qemu-io that must succeed. */
async function good(disk: DiskClient, command: string): Promise<void> {
  const said = await disk.run(command);
  expect(said, command).toMatch(/^(wrote|read) (\d+)\/\2 bytes/);
}

/** Bdevs that are still there. */
async function leftOver(face: TestFace): Promise<unknown> {
  return await face.call('bdev_get_bdevs');
}
