import { bdev, rbd } from 'spdk-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diskFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { AttachSpec } from '../../core/ports/storage-target.ts';
import { asId, type JsonObject, type VolumeId } from '../../core/units.ts';
import { vhostFrontEnd } from '../../drivers/storage/front-vhost.ts';
import { createSpdkStorageTarget, type SpdkStorageTarget } from '../../drivers/storage/spdk-storage-target.ts';
import { systemClock } from '../../kit/clock.ts';
import { haveCeph, startCeph, type TestCeph } from '../support/ceph.ts';
import { useDisk } from '../support/disk-user.ts';
import { havePrograms } from '../support/qemu-machine.ts';
import { facePrograms, startTestStorage, type TestStorage } from '../support/spdk-face.ts';
import { instance, markOf, rejection } from './samples.ts';

const what = 'volumes in a real Ceph';
const mib = 1024 * 1024;
const volumes = ['70000000-0000-4000-8000-000000000001', '70000000-0000-4000-8000-000000000002'].map((id) =>
  asId<VolumeId>(id),
);

describe.runIf(haveCeph(what) && havePrograms(what, facePrograms))(what, { timeout: 180_000 }, () => {
  let ceph: TestCeph;
  let face: TestStorage;
  let storage: SpdkStorageTarget;
  beforeAll(async () => {
    ceph = await startCeph();
    face = await startTestStorage();
    const spdk = face.client();
    storage = createSpdkStorageTarget({
      spdk,
      front: vhostFrontEnd(spdk, systemClock),
      connections: {
        localDirs: async () => [],
        cephSecret: async (uuid) => (uuid === 'cluster' ? ceph.key : undefined),
        hostNqn: undefined,
        initiatorIqn: 'iqn.2026-01.test:soc',
      },
      log: silentLog,
    });
    for (const id of volumes) await ceph.rbd('create', '--size', '8M', `volume-${id}`);
  }, 180_000);
  afterAll(async () => {
    storage?.close();
    await face?.close();
    await ceph?.close();
  }, 60_000);

  /** As Cinder's RBD driver describes it. */
  const specOf = (id: VolumeId, more: JsonObject = {}): AttachSpec => ({
    functionId: diskFunctionId(instance, id),
    volumeId: id,
    connection: {
      protocol: 'rbd',
      data: {
        name: `${ceph.pool}/volume-${id}`,
        hosts: [ceph.monitor.host],
        ports: [ceph.monitor.port],
        cluster_name: 'ceph',
        auth_enabled: true,
        auth_username: ceph.user,
        secret_type: 'ceph',
        secret_uuid: 'cluster',
        volume_id: id,
        encrypted: false,
        ...more,
      },
    },
    readOnly: false,
    mark: markOf('disk', id),
  });
  const use = ({ functionId, readOnly }: AttachSpec) =>
    useDisk(face.part.front.kind === 'nbd' ? face.part.front.socket : '', functionId, readOnly ? 'ro' : 'rw');

  it('serves images of one cluster, which hold what was written; grows one, and again after SPDK was killed', async () => {
    const [first, second] = volumes.map((id) => specOf(id));
    if (!first || !second) throw new Error('two volumes are needed');
    expect((await storage.attach(first)).sizeBytes).toBe(8 * mib);
    await storage.attach(second);
    const spdk = face.client();
    expect([await spdk.call(rbd.clusters, {})].flat()).toHaveLength(1);
    const user = await use(first);
    await user.run('write -P 0x41 0 1M');
    await ceph.rbd('snap', 'create', `volume-${first.volumeId}@before`);
    await user.run('write -P 0x42 0 1M');

    await ceph.rbd('resize', '--size', '16M', `volume-${first.volumeId}`);
    expect((await storage.resized(first.functionId, 16 * mib)).sizeBytes).toBe(16 * mib);

    await face.restart();
    await user.run('read -P 0x42 0 1M');
    await user.run('write -P 0x43 1M 1M');
    await storage.settled();
    expect(await storage.list()).toHaveLength(2);
    await user.close();
    await storage.detach(first.functionId);
    await storage.detach(second.functionId);
    expect(await spdk.call(bdev.list, {})).toEqual([]);

    await ceph.rbd('snap', 'rollback', `volume-${first.volumeId}@before`);
    const reading = { ...first, readOnly: true };
    await storage.attach(reading);
    const reader = await use(reading);
    await reader.run('read -P 0x41 0 1M');
    await reader.close();
    await storage.detach(first.functionId);
  });

  it('says when an image is not there, and leaves nothing', async () => {
    const [id] = volumes;
    if (!id) throw new Error('a volume is needed');
    await rejection(storage.attach(specOf(id, { name: `${ceph.pool}/none` })), 'unavailable');
    expect(await storage.list()).toEqual([]);
    expect(await face.client().call(bdev.list, {})).toEqual([]);
  });
});
