import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { beforeAll, describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { asId, type InstanceId, type NodeId, type VolumeId } from '../../core/units.ts';
import { createSimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import {
  type Cinder,
  type CinderVolume,
  type Connector,
  createCinder,
} from '../../platform-adapter/openstack/rest/cinder.ts';
import { createGlance, type Glance } from '../../platform-adapter/openstack/rest/glance.ts';
import { createCinderVolumes } from '../../platform-adapter/openstack/volumes.ts';
import { rejection } from '../contract/samples.ts';
import { controlPlane, signedIn, warnIfSkipped } from './control-plane.ts';

const minutes = 120_000;

const plane = controlPlane();
warnIfSkipped(plane, 'the REST clients of Cinder and Glance');

describe.skipIf(!plane)('on a control plane', () => {
  const { run, undo, service, user } = signedIn(plane);

  describe('Cinder', () => {
    const instance = randomUUID();
    const connector: Connector = {
      host: `${run}.host`,
      ip: '127.0.0.1',
      initiator: 'iqn.2026-01.test:rest',
      multipath: false,
      platform: 'x86_64',
      osType: 'linux',
    };
    const wait = { timeoutMs: 60_000, everyMs: 100 };
    let asUser: Cinder;
    let asService: Cinder;
    let image: string;

    beforeAll(async () => {
      asUser = createCinder(service().withUserToken(user()), systemClock);
      asService = createCinder(service(), systemClock);
      image =
        (await createGlance(service(), systemClock).listImages({})).find(({ status }) => status === 'active')?.id ?? '';
    });

    const nothingLocal = createSimWorld({
      clock: systemClock,
      random: systemRandom,
      store: memoryWorldStore(),
      options: {},
    }).volumes;

    const orNoData = async (ends: Promise<CinderVolume>, as: Partial<CinderVolume>): Promise<void> => {
      const end = await ends.catch((error: unknown) => error);
      if (hasCode(end, 'bad_state')) expect(end.details?.status).toMatch(/^error/);
      else expect(end).toMatchObject(as);
    };

    const gone = async (cinder: Cinder, id: string): Promise<void> => {
      const until = systemClock.monotonicMs() + 60_000;
      while (systemClock.monotonicMs() < until) {
        const left = await cinder.listVolumes({ metadata: { run }, allProjects: true });
        if (left.every((each) => each.id !== id)) return;
        await systemClock.sleep(200);
      }
      throw new Error(`volume ${id} is still there`);
    };

    it(
      'makes, snapshots, copies and deletes a volume',
      async () => {
        const { id } = await asUser.createVolume({ sizeGib: 1, name: run, metadata: { run } });
        undo.push(() => asService.deleteVolume(id));
        const made = await asUser.waitForVolume(id, ['available'], wait);
        expect(made).toMatchObject({ id, sizeGib: 1, bootable: false, projectId: user().projectId, metadata: { run } });
        expect((await asService.listVolumes({ metadata: { run }, allProjects: true })).map((each) => each.id)).toEqual([
          id,
        ]);

        await rejection(asUser.waitForVolume(id, ['in-use'], { timeoutMs: 300, everyMs: 50 }), 'timeout');

        const snapshot = await asUser.createSnapshot({
          volumeId: id,
          name: `${run}-snapshot`,
          force: false,
          metadata: { run },
        });
        expect(await asUser.waitForSnapshot(snapshot.id, ['available'], wait)).toMatchObject({
          volumeId: id,
          sizeGib: 1,
        });
        expect(await asUser.listSnapshots({ volumeId: id })).toHaveLength(1);
        await rejection(asUser.deleteVolume(id), 'bad_state');
        const copy = await asUser.createVolume({ sizeGib: 1, snapshotId: snapshot.id, name: run, metadata: { run } });
        expect(await asUser.waitForVolume(copy.id, ['available'], wait)).toMatchObject({ snapshotId: snapshot.id });
        await asUser.deleteVolume(copy.id);
        await gone(asService, copy.id);
        await asUser.deleteSnapshot(snapshot.id);
        await rejection(asUser.waitForSnapshot(snapshot.id, ['nothing'], wait), 'not_found');
        await asUser.deleteSnapshot(snapshot.id);

        await asUser.deleteVolume(id);
        await gone(asService, id);
        await asUser.deleteVolume(id);
        await rejection(asUser.showVolume(id), 'not_found');
      },
      minutes,
    );

    it(
      'grows a volume, makes one of an image, and fills one anew; a back end that moves no data says so',
      async () => {
        const empty = await asUser.createVolume({ sizeGib: 1, name: run, metadata: { run } });
        const filled = await asUser.createVolume({ sizeGib: 1, imageId: image, name: run, metadata: { run } });
        undo.push(
          () => asService.deleteVolume(empty.id),
          () => asService.deleteVolume(filled.id),
        );
        await asUser.waitForVolume(empty.id, ['available'], wait);
        await rejection(asUser.extendVolume(empty.id, 1), 'bad_state');
        await rejection(asUser.reimageVolume(randomUUID(), { imageId: image, reimageReserved: false }), 'not_found');
        await rejection(asUser.createVolume({ sizeGib: 1, imageId: randomUUID() }), 'invalid');

        await orNoData(asUser.waitForVolume(filled.id, ['available'], wait), { bootable: true });
        await asUser.reimageVolume(empty.id, { imageId: image, reimageReserved: false });
        await orNoData(asUser.waitForVolume(empty.id, ['available'], wait), { status: 'available' });
        const third = await asUser.createVolume({ sizeGib: 1, name: run, metadata: { run } });
        undo.push(() => asService.deleteVolume(third.id));
        await asUser.waitForVolume(third.id, ['available'], wait);
        await asUser.extendVolume(third.id, 2);
        await orNoData(asUser.waitForVolume(third.id, ['available'], wait), { sizeGib: 2 });
      },
      minutes,
    );

    it(
      'attaches a volume as the user, and detaches it with the service token',
      async () => {
        const { id: volumeId } = await asUser.createVolume({ sizeGib: 1, name: run, metadata: { run } });
        undo.push(() => asService.deleteVolume(volumeId));
        await asUser.waitForVolume(volumeId, ['available'], wait);
        const reserved = await asUser.createAttachment({ volumeId, instance, mode: 'rw' });
        expect(reserved).toMatchObject({ volumeId, instance, connectionInfo: null });
        await rejection(asUser.createAttachment({ volumeId, instance: randomUUID() }), 'bad_state');
        const updated = await asUser.updateAttachment(reserved.id, connector);
        expect(updated.connectionInfo).toMatchObject({
          driver_volume_type: expect.any(String),
          data: expect.any(Object),
          volume_id: volumeId,
        });
        expect((await asUser.updateAttachment(reserved.id, connector)).connectionInfo?.data).toEqual(
          updated.connectionInfo?.data,
        );
        await asUser.completeAttachment(reserved.id);
        await asUser.completeAttachment(reserved.id);
        expect(await asUser.waitForVolume(volumeId, ['in-use'], wait)).toMatchObject({
          attachments: [{ attachmentId: reserved.id, serverId: instance, hostName: connector.host }],
        });
        expect((await asService.showAttachment(reserved.id)).connectionInfo?.data).toEqual(
          updated.connectionInfo?.data,
        );
        expect((await asUser.listAttachments({ instance })).map(({ id }) => id)).toEqual([reserved.id]);
        const volumes = createCinderVolumes(nothingLocal, asService, connector);
        const spec = {
          volumeId: asId<VolumeId>(volumeId),
          node: asId<NodeId>(randomUUID()),
          instance: asId<InstanceId>(instance),
          readOnly: false,
        };
        expect(await volumes.getVolume(spec.volumeId)).toMatchObject({ sizeBytes: 2 ** 30, madeFor: null });
        expect(await volumes.connect(spec)).toMatchObject({
          protocol: updated.connectionInfo?.driver_volume_type,
          data: updated.connectionInfo?.data,
        });
        await rejection(volumes.connect({ ...spec, instance: asId<InstanceId>(randomUUID()) }), 'not_found');
        await rejection(asUser.deleteVolume(volumeId), 'bad_state');
        await asUser.deleteAttachment(reserved.id);
        await asUser.deleteAttachment(reserved.id);
        await rejection(asUser.showAttachment(reserved.id), 'not_found');
        expect(await asService.showVolume(volumeId)).toMatchObject({ status: 'available', attachments: [] });
      },
      minutes,
    );
  });

  describe('Glance', () => {
    const data = Buffer.alloc(3 * 1024 * 1024, 'dpu-compute ');
    let glance: Glance;

    beforeAll(() => {
      glance = createGlance(service(), systemClock);
    });

    it('takes an image, tells of it, gives it back byte for byte, and deletes it', async () => {
      const format = { diskFormat: 'raw', containerFormat: 'bare' } as const;
      const queued = await glance.createImage({
        name: run,
        ...format,
        visibility: 'private',
        properties: { hw_machine_type: 'q35' },
      });
      const { id } = queued;
      undo.push(() => glance.deleteImage(id));
      expect(queued).toMatchObject({ status: 'queued', sizeBytes: null, properties: { hw_machine_type: 'q35' } });
      await rejection(glance.downloadImage(id), 'bad_state');
      await glance.uploadImage(id, Readable.from([data.subarray(0, 1_000_000), data.subarray(1_000_000)]), {
        sizeBytes: data.length,
      });
      const stored = await glance.showImage(id);
      expect(stored).toMatchObject({
        status: 'active',
        sizeBytes: data.length,
        osHashValue: createHash('sha512').update(data).digest('hex'),
      });
      await rejection(glance.uploadImage(id, Readable.from([data])), 'conflict');
      const { body, sizeBytes } = await glance.downloadImage(id);
      expect(sizeBytes).toBe(data.length);
      expect((await buffer(body)).equals(data)).toBe(true);
      await rejection(glance.downloadImage(id, { maxBytes: 1000 }), 'exhausted');

      const changed = await glance.updateImage(id, {
        set: { name: `${run}-2`, os_distro: 'debian', protected: true },
        remove: ['hw_machine_type'],
      });
      expect(changed).toMatchObject({ name: `${run}-2`, protected: true, properties: { os_distro: 'debian' } });
      expect(changed.properties).not.toHaveProperty('hw_machine_type');
      await rejection(glance.deleteImage(id), 'denied');
      await glance.updateImage(id, { set: { protected: false } });
      expect((await glance.listImages({ name: `${run}-2` })).map((each) => each.id)).toEqual([id]);
      await glance.deleteImage(id);
      await glance.deleteImage(id);
      await rejection(glance.showImage(id), 'not_found');
    });
  });
});
