import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import { asId, type InstanceId, type JsonObject, type NodeId, type VolumeId } from '../../core/units.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { connectorOf } from '../../platform-adapter/openstack/connector.ts';
import { createCinder } from '../../platform-adapter/openstack/rest/cinder.ts';
import type { HttpClient } from '../../platform-adapter/openstack/rest/http.ts';
import { createCinderVolumes } from '../../platform-adapter/openstack/volumes.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { callerOf, quickClock, startService, type TestService, testClient } from '../unit/openstack-rest/service.ts';
import { rejection } from './samples.ts';
import { volumeServiceContract } from './volume-service.suite.ts';

const gib = 1024 ** 3;
const foreignVolume = asId<VolumeId>('66666666-6666-4666-8666-666666666666');
const connector = connectorOf({
  host: 'node-1',
  ip: '192.0.2.1',
  hostNqn: null,
  uuid: '90000000-0000-4000-8000-000000000009',
});

interface Beside {
  readonly volumes: VolumeService;
  readonly service: TestService;
  reopen(): Promise<VolumeService>;
  close(): Promise<void>;
}

/** The local service of the simulation, and a Cinder beside it that knows nothing until it is told. */
async function beside(): Promise<Beside> {
  const service = await startService(() => ({ status: 404, json: { itemNotFound: { code: 404, message: 'no' } } }));
  const clock = quickClock();
  const http: HttpClient = testClient(clock);
  const store = memoryWorldStore();
  const open = (): SimWorld =>
    createSimWorld({
      clock: systemClock,
      random: seededRandom('openstack'),
      store,
      options: { functions: 6, volumes: { [foreignVolume]: { size_bytes: gib, bootable: true } } },
      timing: { enumerationMs: 1 },
    });
  const cinder = createCinder(callerOf(service.url, http), clock);
  let world = open();
  return {
    volumes: createCinderVolumes(world.volumes, cinder, connector),
    service,
    async reopen() {
      world.close();
      world = open();
      return createCinderVolumes(world.volumes, cinder, connector);
    },
    async close() {
      world.close();
      http.close();
      await service[Symbol.asyncDispose]();
    },
  };
}

// All of it holds of the volumes on the node. Of Cinder's it can't: nova makes, exports and deletes those, under ids of Cinder's.
volumeServiceContract('local, beside Cinder', async () => {
  const { volumes, reopen, close } = await beside();
  return { volumes, image: 'demo', foreignVolume, reopen, close };
});

describe("Cinder's volumes", () => {
  const id = asId<VolumeId>('c7985e18-30d3-4f33-8189-da7f1e8ff2d3');
  const instance = asId<InstanceId>('a6218903-869c-429a-bd9b-9951c64d9bc7');
  const node = asId<NodeId>('88888888-8888-4888-8888-888888888888');
  const volume = { id, status: 'in-use', size: 2, bootable: 'true' };
  const attachment = (info: JsonObject) => ({
    id: 'att',
    volume_id: id,
    instance,
    status: 'attached',
    attach_mode: 'rw',
    connection_info: info,
  });
  const iscsi = { driver_volume_type: 'iscsi', target_portal: '10.0.0.1:3260', attachment_id: 'att' };
  const connected = { protocol: 'iscsi', data: { target_portal: '10.0.0.1:3260', initiator_iqn: connector.initiator } };
  const spec = { volumeId: id, node, instance, readOnly: false };
  let cloud: Beside;

  beforeEach(async () => {
    cloud = await beside();
  });
  afterEach(() => cloud.close());
  const answer = (...answers: readonly JsonObject[]) =>
    cloud.service.next.push(...answers.map((json) => ({ status: 200, json })));

  it('are seen as nobody made them here', async () => {
    answer({ volume });
    expect(await cloud.volumes.getVolume(id)).toEqual({ id, sizeBytes: 2 * gib, bootable: true, madeFor: null });
    const { field, cause } = await rejection(cloud.volumes.getVolume(id), 'not_found');
    expect([field, cause]).toEqual(['volume_id', expect.objectContaining({ code: 'not_found' })]);
    expect(await cloud.volumes.listMadeFor(node)).toEqual([]);
  });

  it('are connected again by the attachment that Cinder keeps', async () => {
    answer({ attachments: [attachment({})] }, { attachment: attachment(iscsi) });
    expect(await cloud.volumes.connect(spec)).toEqual(connected);
    expect(cloud.service.seen.map(({ method, url }) => [method, url.pathname])).toEqual([
      ['GET', '/attachments/detail'],
      ['GET', '/attachments/att'],
    ]);
  });

  it('are exported where nobody had come that far', async () => {
    answer({ attachments: [attachment({})] }, { attachment: attachment({}) }, { attachment: attachment(iscsi) });
    expect(await cloud.volumes.connect(spec)).toEqual(connected);
    expect(cloud.service.seen.at(-1)).toMatchObject({ method: 'PUT', path: '/attachments/att' });
  });

  it('are connected to nobody else than their server', async () => {
    answer({ attachments: [{ ...attachment({}), instance: 'another' }] });
    await rejection(cloud.volumes.connect(spec), 'not_found');
    expect(cloud.service.seen).toHaveLength(1);
    cloud.service.next.push({ status: 503 }, { status: 503 }, { status: 503 }, { status: 503 });
    await rejection(cloud.volumes.connect(spec), 'unavailable');
  });

  it('grow, and are waited for; what has grown is fine, and nothing shrinks', async () => {
    answer({ volume }, {}, { volume: { ...volume, status: 'extending' } }, { volume: { ...volume, size: 3 } });
    expect(await cloud.volumes.resizeVolume(id, 3 * gib)).toMatchObject({ sizeBytes: 3 * gib });
    expect(cloud.service.seen[1]?.json).toEqual({ 'os-extend': { new_size: 3 } });
    answer({ volume });
    expect(await cloud.volumes.resizeVolume(id, 2 * gib)).toMatchObject({ sizeBytes: 2 * gib });
    answer({ volume });
    await rejection(cloud.volumes.resizeVolume(id, gib), 'invalid');
    expect(cloud.service.seen).toHaveLength(6);
  });
});
