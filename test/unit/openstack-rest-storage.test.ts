import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { type Cinder, type Connector, createCinder } from '../../platform-adapter/openstack/rest/cinder.ts';
import { objectIn } from '../../platform-adapter/openstack/rest/fields.ts';
import { createGlance, type Glance } from '../../platform-adapter/openstack/rest/glance.ts';
import type { HttpClient } from '../../platform-adapter/openstack/rest/http.ts';
import { verifiedBody } from '../../platform-adapter/openstack/rest/image-body.ts';
import { rejection } from '../contract/samples.ts';
import {
  type Answer,
  callerOf,
  quickClock,
  recorded,
  startService,
  type TestService,
  testClient,
} from './openstack-rest/service.ts';

const project = '7a2323605f6c4f44994a2d93e7cc62e0';
const volumeId = 'c7985e18-30d3-4f33-8189-da7f1e8ff2d3';
const attachmentId = 'edebf9b4-4115-48f0-b9f6-4c0d6320fb3d';

let service: TestService;
let http: HttpClient;
let clock: ReturnType<typeof quickClock>;
let cinder: Cinder;
let glance: Glance;

beforeEach(async () => {
  service = await startService();
  clock = quickClock();
  http = testClient(clock);
  cinder = createCinder(callerOf(`${service.url}/v3/${project}`, http), clock);
  glance = createGlance(callerOf(service.url, http), clock);
});

afterEach(async () => {
  http.close();
  await service[Symbol.asyncDispose]();
});

const connector: Connector = {
  host: 'fake1',
  ip: '127.0.0.1',
  initiator: 'iqn.2026-01.test:a',
  nqn: 'nqn.2026-01.test:a',
  multipath: false,
  platform: 'aarch64',
  osType: 'linux',
};

describe('a volume is attached', () => {
  const exchanges = recorded.attachVolume.cinder;
  const [shown] = exchanges;

  it('and detached with the requests of nova-compute, its connection_info as nova keeps it', async () => {
    const all = [...exchanges, ...recorded.detachVolume.cinder];
    service.next.push(
      ...all.map(({ status, response }) => (response === null ? { status } : { status, json: response })),
    );
    expect(await cinder.showVolume(volumeId)).toMatchObject({
      id: volumeId,
      status: 'reserved',
      sizeGib: 1,
      sharedTargets: false,
    });
    const { connectionInfo } = await cinder.updateAttachment(attachmentId, connector);
    expect(connectionInfo).toEqual(recorded.attachVolume.connectionInfo);
    await cinder.completeAttachment(attachmentId);
    await cinder.deleteAttachment(attachmentId);
    expect(service.seen.map(({ method, path, headers }) => [method, path, headers['openstack-api-version']])).toEqual(
      all.map(({ method, path, microversion }) => [method, path, microversion]),
    );
    const { initiator, nqn, ...named } = objectIn(objectIn(service.seen[1]?.json ?? null, 'attachment'), 'connector');
    expect(named).toEqual({ host: 'fake1', ip: '127.0.0.1', multipath: false, platform: 'aarch64', os_type: 'linux' });
    expect([initiator, nqn]).toEqual([connector.initiator, connector.nqn]);
    expect(service.seen[2]?.json).toEqual({ 'os-complete': null });
  });

  it('and is not connected before a connector is known', async () => {
    const attachment = {
      id: attachmentId,
      status: 'reserved',
      instance: 'i',
      volume_id: volumeId,
      attach_mode: 'null',
      connection_info: {},
    };
    service.next.push({ status: 200, json: { attachment } });
    expect(await cinder.createAttachment({ volumeId, instance: 'i' })).toMatchObject({
      id: attachmentId,
      connectionInfo: null,
    });
    expect(service.seen[0]).toMatchObject({ json: { attachment: { volume_uuid: volumeId, instance_uuid: 'i' } } });
  });

  it('and completed twice where the first answer was lost; made, it is not', async () => {
    service.next.push('reset', { status: 204 });
    await cinder.completeAttachment(attachmentId);
    service.next.push('reset');
    await rejection(cinder.createAttachment({ volumeId, instance: 'i' }), 'unavailable');
    expect(service.seen).toHaveLength(3);
  });

  it('in a state in which it can not be', async () => {
    service.answer = () => ({
      status: 400,
      json: { badRequest: { code: 400, message: 'Invalid volume: status must be available' } },
    });
    await rejection(cinder.updateAttachment(attachmentId, connector), 'bad_state');
    await rejection(cinder.extendVolume(volumeId, 2), 'bad_state');
    await rejection(cinder.createVolume({ sizeGib: 0 }), 'invalid');
  });

  it('and waited for until it has the status, fails, or takes too long', async () => {
    const as = (status: string): Answer => ({
      status: 200,
      json: { volume: { ...objectIn(shown?.response ?? null, 'volume'), status } },
    });
    service.next.push(as('creating'), as('downloading'), as('available'));
    expect(await cinder.waitForVolume(volumeId, ['available'], { timeoutMs: 60_000 })).toMatchObject({
      status: 'available',
    });
    expect(clock.slept).toEqual([1000, 1500]);
    service.next.push(as('creating'), as('error'));
    const failed = cinder.waitForVolume(volumeId, ['available'], { timeoutMs: 60_000 });
    expect((await rejection(failed, 'bad_state')).details).toEqual({ status: 'error' });
    service.answer = () => as('creating');
    await rejection(cinder.waitForVolume(volumeId, ['available'], { timeoutMs: 5000, everyMs: 2000 }), 'timeout');
    expect(clock.slept.slice(3).reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(5000);
    service.next.push(as('error'));
    expect(await cinder.waitForVolume(volumeId, ['error'], { timeoutMs: 5000 })).toMatchObject({ status: 'error' });
  });

  it('and listed page by page', async () => {
    const volume = objectIn(shown?.response ?? null, 'volume');
    const page = (from: number, count: number): Answer => ({
      status: 200,
      json: { volumes: Array.from({ length: count }, (_, index) => ({ ...volume, id: `v${from + index}` })) },
    });
    service.next.push(page(0, 500), page(500, 3));
    const all = await cinder.listVolumes({ metadata: { node: 'n' }, allProjects: true });
    expect(all.map(({ id }) => id).filter((id, index) => id === `v${index}`)).toHaveLength(503);
    expect(service.seen.map(({ url }) => Object.fromEntries(url.searchParams))).toEqual([
      { metadata: '{"node":"n"}', all_tenants: '1', limit: '500' },
      { metadata: '{"node":"n"}', all_tenants: '1', limit: '500', marker: 'v499' },
    ]);
  });
});

describe('an image', () => {
  const data = Buffer.alloc(300_000, 'dpu-compute ');
  const metadata = {
    id: 'image-1',
    name: 'tiny',
    status: 'active',
    visibility: 'public',
    protected: false,
    disk_format: 'raw',
    container_format: 'bare',
    size: data.length,
    virtual_size: null,
    min_disk: 0,
    min_ram: 0,
    owner: 'p',
    checksum: createHash('md5').update(data).digest('hex'),
    os_hash_algo: 'sha512',
    os_hash_value: createHash('sha512').update(data).digest('hex'),
    hw_disk_bus: 'virtio',
    tags: [],
  } as const;
  const told = (more: JsonObject = {}): Answer => ({ status: 200, json: { ...metadata, ...more } });
  const sent = (bytes: Buffer): Answer => ({ status: 200, text: bytes.toString('latin1') });
  const download = async (): Promise<Buffer> => buffer((await glance.downloadImage('image-1')).body);

  it('comes byte for byte', async () => {
    service.next.push(told(), sent(data));
    expect((await download()).equals(data)).toBe(true);
    expect(service.seen[1]).toMatchObject({
      path: '/v2/images/image-1/file',
      headers: { accept: 'application/octet-stream' },
    });
    expect(await glance.showImage('image-1').catch(() => undefined)).toBeUndefined();
  });

  it('of an older Glance is checked by its MD5, and without any hash not taken', async () => {
    service.next.push(told({ os_hash_algo: null, os_hash_value: null }), sent(data));
    expect((await download()).equals(data)).toBe(true);
    service.next.push(told({ os_hash_algo: 'new-fangled', checksum: null }));
    await rejection(download(), 'unsupported');
  });

  it.each<[string, JsonObject, Answer, 'hardware' | 'unavailable']>([
    ['another hash', {}, sent(Buffer.concat([data.subarray(1), Buffer.from('x')])), 'hardware'],
    ['another MD5', { os_hash_value: null }, sent(Buffer.concat([data.subarray(1), Buffer.from('x')])), 'hardware'],
    ['more bytes', {}, sent(Buffer.concat([data, Buffer.from('x')])), 'hardware'],
    ['fewer bytes', {}, sent(data.subarray(1)), 'unavailable'],
    ['a connection that broke', {}, 'break-off', 'unavailable'],
  ])('with %s never comes to its end', async (_, more, answer, code) => {
    service.next.push(told(more), answer);
    await rejection(download(), code);
  });

  it('that stalls is given up, and one whose reader is slow is not', async () => {
    const patient = createGlance(callerOf(service.url, http), systemClock);
    service.next.push(told(), 'stall');
    const { body } = await patient.downloadImage('image-1', { stallMs: 50 });
    await rejection(buffer(body), 'timeout');

    const hash = createHash('sha256');
    const expected = { what: 'x', sizeBytes: 2, hash, digest: createHash('sha256').update('ab').digest('hex') };
    const slow = verifiedBody(Readable.from([Buffer.from('a'), Buffer.from('b')]), expected, {
      clock: systemClock,
      stallMs: 50,
      signal: undefined,
    });
    const chunks: string[] = [];
    for await (const chunk of slow) {
      await systemClock.sleep(80);
      chunks.push(String(chunk));
    }
    expect(chunks).toEqual(['a', 'b']);
  });

  it('stops with the reason of the signal', async () => {
    service.next.push(told(), 'stall');
    const ended = new AbortController();
    const { body } = await glance.downloadImage('image-1', { signal: ended.signal });
    const read = buffer(body);
    ended.abort(new Error('nobody wants it'));
    await expect(read).rejects.toThrow('nobody wants it');
  });

  it('is not asked for where it has no data, or too much', async () => {
    service.next.push(told({ status: 'queued', size: null }), told());
    await rejection(glance.downloadImage('image-1'), 'bad_state');
    await rejection(glance.downloadImage('image-1', { maxBytes: 1000 }), 'exhausted');
    expect(service.seen).toHaveLength(2);
  });

  it('has what is not of every image as properties', async () => {
    service.next.push(told({ hw_vif_multiqueue_enabled: true, os_distro: null }));
    expect((await glance.showImage('image-1')).properties).toEqual({
      hw_disk_bus: 'virtio',
      hw_vif_multiqueue_enabled: 'true',
    });
  });

  it('is sent once, whatever comes back, and fails as its source does', async () => {
    service.next.push({ status: 503 });
    await rejection(glance.uploadImage('image-1', Readable.from([data]), { sizeBytes: data.length }), 'unavailable');
    expect(service.seen).toMatchObject([
      { method: 'PUT', headers: { 'content-length': '300000', 'content-type': 'application/octet-stream' } },
    ]);
    service.next.push({ status: 401 });
    await rejection(glance.uploadImage('image-1', Readable.from([data])), 'denied');
    expect(service.seen).toHaveLength(2);
    service.answer = () => 'hang';
    async function* broken(): AsyncGenerator<Buffer> {
      yield data;
      throw new DpuError('hardware', 'the disk can not be read');
    }
    await rejection(glance.uploadImage('image-1', Readable.from(broken())), 'hardware');
    service.answer = () => ({ status: 204 });
    await glance.uploadImage('image-1', Readable.from([data]));
    expect(service.seen.at(-1)).toMatchObject({ headers: { 'transfer-encoding': 'chunked' } });
  });

  it('is changed by a patch', async () => {
    service.next.push(told());
    await glance.updateImage('image-1', { set: { name: 'n', 'a/b~c': 'x' }, remove: ['os_distro'] });
    expect(service.seen[0]).toMatchObject({
      method: 'PATCH',
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
      json: [
        { op: 'add', path: '/name', value: 'n' },
        { op: 'add', path: '/a~1b~0c', value: 'x' },
        { op: 'remove', path: '/os_distro' },
      ],
    });
  });
});
