import { mkdir, open, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { AttachSpec } from '../../core/ports/storage-target.ts';
import { asId, type VolumeId } from '../../core/units.ts';
import { vhostFrontEnd } from '../../drivers/storage/front-vhost.ts';
import { noteName } from '../../drivers/storage/note.ts';
import { createSpdkStorageTarget, type SpdkStorageTarget } from '../../drivers/storage/spdk-storage-target.ts';
import { systemClock } from '../../kit/clock.ts';
import { aio, bdev, lvol, malloc, nvme, nvmf, type SpdkClient, vhost } from '../../packages/spdk-client/src/index.ts';
import { freePort } from '../../tools/free-port.ts';
import { type DiskUser, useDisk } from '../support/disk-user.ts';
import { havePrograms } from '../support/qemu-machine.ts';
import { facePrograms, startTestStorage, type TestStorage } from '../support/spdk-face.ts';
import { instance, markOf, otherInstance, rejection } from './samples.ts';

const volume = asId<VolumeId>('70000000-0000-4000-8000-000000000001');
const other = asId<VolumeId>('70000000-0000-4000-8000-000000000002');
const sizeBytes = 8 * 1024 * 1024;
const runnable = havePrograms('the storage target on the SPDK face', {
  ...facePrograms,
  '/usr/bin/qemu-io': 'qemu-utils',
});

describe.runIf(runnable)('the storage target on SPDK', () => {
  let face: TestStorage;
  let spdk: SpdkClient;
  let storage: SpdkStorageTarget;
  let users: DiskUser[];
  let restarts: number;
  let target: TestStorage | undefined;
  beforeEach(async () => {
    face = await startTestStorage();
    spdk = face.client();
    storage = openTarget();
    users = [];
    restarts = 0;
    await writeFile(path(volume), Buffer.alloc(sizeBytes));
    await writeFile(path(other), Buffer.alloc(sizeBytes));
  });
  afterEach(async () => {
    for (const user of users) await user.close();
    storage.close();
    await face.close();
    await target?.close();
    target = undefined;
  });

  const openTarget = (): SpdkStorageTarget =>
    createSpdkStorageTarget({
      spdk,
      front: vhostFrontEnd(spdk, systemClock),
      connections: {
        localDirs: async () => [face.part.volumesDir],
        cephSecret: async () => undefined,
        hostNqn: undefined,
        initiatorIqn: 'iqn.2026-01.test:soc',
      },
      log: silentLog,
      restarted: () => {
        restarts += 1;
      },
    });
  const path = (id: VolumeId): string => join(face.part.volumesDir, `${id}.raw`);
  const specOf = (id: VolumeId, data: AttachSpec['connection']['data'] = { path: path(id) }): AttachSpec => ({
    functionId: diskFunctionId(instance, id),
    volumeId: id,
    connection: { protocol: 'local', data },
    readOnly: false,
    mark: markOf('disk', id),
  });
  const use = async ({ functionId }: AttachSpec): Promise<DiskUser> => {
    const { front } = face.part;
    const user = await useDisk(front.kind === 'nbd' ? front.socket : '', functionId);
    users.push(user);
    return user;
  };
  const names = async (): Promise<readonly string[]> => (await spdk.call(bdev.list, {})).map(({ name }) => name);
  const controllers = async (): Promise<readonly string[]> =>
    (await spdk.call(vhost.list, {})).map(({ ctrlr }) => ctrlr);
  const expectNothing = async (): Promise<void> => {
    expect(await controllers()).toEqual([]);
    expect(await names()).toEqual([]);
  };

  it('leaves nothing behind', async () => {
    await storage.attach(specOf(volume));
    await storage.attach({ ...specOf(other), readOnly: true });
    expect(await controllers()).toHaveLength(2);
    await storage.detach(specOf(volume).functionId);
    await storage.detach(specOf(other).functionId);
    await expectNothing();
  });

  it('does not detach under a host that uses the disk', async () => {
    const spec = specOf(volume);
    const attached = await storage.attach(spec);
    const user = await use(spec);
    await user.run('write -P 0x41 0 64k');
    await rejection(storage.detach(spec.functionId), 'busy');
    expect(await storage.list()).toEqual([attached]);
    await user.run('read -P 0x41 0 64k');
    await users.pop()?.close();
    await storage.detach(spec.functionId);
    await expectNothing();
  });

  it('serves everything again after SPDK was killed, before the host gives up', async () => {
    const [spec, second] = [specOf(volume), specOf(other)];
    const before = [await storage.attach(spec), await storage.attach({ ...second, qos: { bytesPerSecond: 2 ** 20 } })];
    const user = await use(spec);
    await user.run('write -P 0x41 0 1M');
    face.kill();
    const pending = user.run('write -P 0x42 1M 1M');
    await face.restart();
    await pending;
    await user.run('read -P 0x41 0 1M');
    await user.run('read -P 0x42 1M 1M');
    await storage.settled();
    expect(restarts).toBe(1);
    const byFunction = (list: readonly { functionId: string }[]) =>
      [...list].sort((a, b) => (a.functionId < b.functionId ? -1 : 1));
    expect(byFunction(await storage.list())).toEqual(byFunction(before));
    const limits = (await spdk.call(bdev.list, { name: `vol-${other}` }))[0]?.assigned_rate_limits;
    expect(limits?.rw_mbytes_per_sec).toBe(1);
  });

  it('finds its own by what is written in SPDK alone, and takes it away', async () => {
    const attached = await storage.attach(specOf(volume));
    storage.close();
    storage = openTarget();
    expect(await storage.list()).toEqual([attached]);
    expect(await storage.attach(specOf(volume))).toEqual(attached);
    await storage.detach(attached.functionId);
    await expectNothing();
  });

  it('finishes or removes what was cut short', async () => {
    const spec = specOf(volume);
    const { functionId, volumeId, readOnly } = spec;
    const mark = markOf('disk', 'of an earlier attempt');
    const name = noteName({
      functionId,
      volumeId,
      readOnly,
      shared: false,
      mark,
      kind: 'aio',
      backend: `vol-${volume}`,
    });
    const cutShort = async (): Promise<void> => {
      await spdk.call(malloc.create, { name, num_blocks: 1, block_size: 512 });
      await spdk.call(aio.create, { name: `vol-${volume}`, filename: path(volume), block_size: 512 });
    };
    await cutShort();
    expect(await storage.list()).toEqual([]);
    await storage.attach(spec);
    expect(await names()).toHaveLength(2);
    await storage.detach(functionId);
    await cutShort();
    await storage.detach(functionId);
    await expectNothing();
  });

  it('refuses a second writer of a volume that is reached in another way', async () => {
    await storage.attach(specOf(volume));
    await spdk.call(malloc.create, { name: 'copy', num_blocks: 2048, block_size: 512 });
    const second = { ...specOf(volume, { bdev: 'copy' }), functionId: diskFunctionId(otherInstance, volume) };
    const { details } = await rejection(storage.attach(second), 'conflict');
    expect(details).toEqual({ functionId: [specOf(volume).functionId, second.functionId] });
    expect(await controllers()).toHaveLength(1);
  });

  it('takes back a bdev that was opened for nothing', async () => {
    const name = `vol-${volume}`;
    await spdk.call(aio.create, { name, filename: path(volume), block_size: 512 });
    await spdk.call(vhost.createBlk, { ctrlr: 'theirs', dev_name: name });
    await rejection(storage.attach(specOf(volume)), 'conflict');
    expect(await names()).toEqual([name]);
    expect(await controllers()).toEqual(['theirs']);
  });

  it('refuses a bdev that a store lies on', async () => {
    await spdk.call(aio.create, { name: 'base', filename: path(volume), block_size: 512 });
    await spdk.call(lvol.createStore, { bdev_name: 'base', lvs_name: 'store' });
    await rejection(storage.attach(specOf(volume, { bdev: 'base' })), 'conflict');
    expect(await controllers()).toEqual([]);
  });

  it('opens files only where volumes may be', async () => {
    const outside = join(face.stateDir, 'outside.raw');
    await writeFile(outside, Buffer.alloc(sizeBytes));
    await symlink(outside, path(asId<VolumeId>('link')));
    await mkdir(join(face.part.volumesDir, 'sub'));
    const inside = join(face.part.volumesDir, 'sub/inside.raw');
    await (await open(inside, 'w')).close();
    for (const bad of [
      outside,
      path(asId<VolumeId>('link')),
      `${face.part.volumesDir}/../../outside.raw`,
      'relative.raw',
    ]) {
      await rejection(storage.attach(specOf(volume, { path: bad })), 'invalid');
    }
    await rejection(storage.attach(specOf(volume, { path: path(asId<VolumeId>('none')) })), 'unavailable');
    await rejection(
      storage.attach({ ...specOf(volume), connection: { protocol: 'fibre_channel', data: {} } }),
      'unsupported',
    );
    await expectNothing();
  });

  it('shows an lvol, its growth and its limits', async () => {
    const store = join(face.part.volumesDir, 'store.img');
    const file = await open(store, 'w');
    await file.truncate(64 * 1024 * 1024);
    await file.close();
    await spdk.call(aio.create, { name: 'base', filename: store, block_size: 512 });
    await spdk.call(lvol.createStore, { bdev_name: 'base', lvs_name: 'store' });
    await spdk.call(lvol.create, { lvs_name: 'store', lvol_name: 'v', size_in_mib: 8, thin_provision: true });
    const spec = specOf(volume, { lvol: 'store/v' });
    expect((await storage.attach(spec)).sizeBytes).toBe(sizeBytes);
    expect((await storage.resized(spec.functionId, 2 * sizeBytes)).sizeBytes).toBe(2 * sizeBytes);
    await rejection(storage.setQos(spec.functionId, { iosPerSecond: 10 }), 'invalid');
    await storage.setQos(spec.functionId, { iosPerSecond: 1500 });
    expect((await spdk.call(bdev.list, { name: 'store/v' }))[0]?.assigned_rate_limits?.rw_ios_per_sec).toBe(2000);
    await storage.detach(spec.functionId);
    expect(await names()).toHaveLength(2);
  });

  it('reaches a volume by NVMe over fabrics, by the paths that work, and lets go of the subsystem with its last volume', async () => {
    const nqn = 'nqn.2026-01.test:target';
    // a process of its own: the same uuid is not there twice in one
    target = await startTestStorage();
    const there = target.client();
    await there.call(nvmf.createTransport, { trtype: 'TCP' });
    await there.call(nvmf.createSubsystem, { nqn, allow_any_host: true, serial_number: 'S1' });
    const uuids = ['10000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000002'];
    for (const [index, uuid] of uuids.entries()) {
      await there.call(malloc.create, { name: `remote${index}`, num_blocks: 16_384, block_size: 512, uuid });
      await there.call(nvmf.addNamespace, { nqn, namespace: { bdev_name: `remote${index}`, uuid } });
    }
    const port = String(await freePort());
    const address = { trtype: 'TCP', adrfam: 'IPv4', traddr: '127.0.0.1', trsvcid: port } as const;
    await there.call(nvmf.addListener, { nqn, listen_address: address });
    const remote = async (): Promise<number> => (await spdk.call(nvme.controllers, {})).length;
    const spec = (id: VolumeId, uuid: string | undefined): AttachSpec => ({
      ...specOf(id),
      connection: {
        protocol: 'nvmeof',
        data: {
          target_nqn: nqn,
          portals: [
            ['127.0.0.1', 1, 'tcp'],
            ['127.0.0.1', Number(port), 'tcp'],
          ],
          vol_uuid: uuid ?? null,
        },
      },
    });
    const [first, second] = [spec(volume, uuids[0]), spec(other, uuids[1])];
    const attached = [await storage.attach(first), await storage.attach(second)];
    expect(attached.map((each) => each.sizeBytes)).toEqual([sizeBytes, sizeBytes]);
    expect(new Set(attached.map((each) => each.bdev)).size).toBe(2);
    const uuidOf = async (name = ''): Promise<string | undefined> => (await spdk.call(bdev.list, { name }))[0]?.uuid;
    expect(await uuidOf(attached[1]?.bdev)).toBe(uuids[1]);
    expect(await remote()).toBe(1);
    await storage.detach(first.functionId);
    expect(await remote()).toBe(1);
    await storage.detach(second.functionId);
    expect(await remote()).toBe(0);
    await expectNothing();
    const lost = {
      ...spec(volume, '10000000-0000-4000-8000-00000000000f'),
      functionId: diskFunctionId(otherInstance, volume),
    };
    await rejection(storage.attach(lost), 'unavailable');
    expect(await remote()).toBe(0);
  });
});
