/** Bad days of Glance, as Cinder and the node meet them: a server's disk has the image's bytes, or its user is told that there is no server. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { configFile } from '../../tools/openstack/config-files.ts';
import { until } from '../support/wait.ts';
import { type FaultProxy, startFaultProxy } from './support/fault-proxy.ts';
import { type FaultyNode, openFaultyNode } from './support/faulty-node.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';
import { CHECKED_BYTES } from './support/volumes.ts';
import { expectFailedBuild, expectWholeAt } from './support/whole.ts';

const { hostname } = NODES.vm;
const unavailable = { status: 503 } as const;
const ofData = { method: 'GET', path: /\/images\/[^/]+\/file$/ } as const;

describe.skipIf(PEER === 'stock')('an image', { timeout: 240_000 }, () => {
  const live = liveServers();
  const { cloud, servers, volumes, undo } = live;
  let faulty: FaultyNode;
  /** Between Cinder's volume service and Glance. */
  let glance: FaultProxy;
  let config = '';

  beforeAll(async () => {
    glance = await startFaultProxy(cloud.admin.endpoint('image'));
    config = await readFile(configFile(cloud.stack.layout, 'cinder'), 'utf8');
    await restartVolumeService(config.replace(/^(glance_api_servers *= *).*$/m, `$1${glance.url}`));
    faulty = await openFaultyNode(cloud, { call_timeout_s: 3 });
    await faulty.node.start();
  });
  afterEach(() => {
    faulty.pass();
    glance.rules();
  });
  afterAll(async () => {
    await faulty.close();
    await restartVolumeService(config);
    await glance.close();
  });

  async function restartVolumeService(text: string): Promise<void> {
    await writeFile(configFile(cloud.stack.layout, 'cinder'), text);
    await cloud.stack.stop('cinder-volume');
    await cloud.stack.start('cinder-volume');
  }

  /** An image of the test's own, which it may remove. */
  async function ownImage(more: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const { id } = await cloud.admin.call<{ id: string }>('image', 'POST', '/v2/images', {
      body: { name: 'own', disk_format: 'raw', container_format: 'bare', ...more },
    });
    await cloud.admin.call('image', 'PUT', `/v2/images/${id}/file`, { body: Buffer.alloc(1024 * 1024, 9) });
    undo(() => removeImage(id).catch(() => undefined)); // most tests do it themselves
    return id;
  }

  const removeImage = (id: string): Promise<unknown> => cloud.admin.call('image', 'DELETE', `/v2/images/${id}`);

  it('is what a server starts from, and what it is rescued from or not, where Glance is away for a moment', async () => {
    const rescue = await ownImage({ hw_rescue_device: 'disk', hw_rescue_bus: 'virtio' });
    glance.rules({ ...ofData, times: 2, fault: unavailable });
    const id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
    expect(glance.met).toBe(2);
    const [root = ''] = await expectWholeAt(live, id, hostname);
    const bytes = Buffer.alloc(CHECKED_BYTES);
    (await cloud.admin.download('image', `/v2/images/${cloud.image}/file`)).copy(bytes);
    expect(await volumes.checksum(root)).toBe(createHash('sha256').update(bytes).digest('hex'));

    const { glance: ofNode } = faulty.services;
    ofNode.rules(
      { method: 'GET', times: 1, fault: unavailable },
      { method: 'GET', times: 1, fault: 'hang' },
      { method: 'GET', times: 1, fault: 'cut' },
    );
    await servers.act(id, { rescue: { rescue_image_ref: rescue } });
    await servers.until(id, 'RESCUE');
    expect(ofNode.unmet).toEqual([]);
    await servers.act(id, { unrescue: null });
    await servers.until(id, 'ACTIVE');
    await expectWholeAt(live, id, hostname);

    ofNode.rules({ method: 'GET', path: new RegExp(rescue), fault: 'hold' });
    await servers.act(id, { rescue: { rescue_image_ref: rescue } });
    await until('the node asks for it', async () => ofNode.met > 0);
    await removeImage(rescue);
    faulty.pass();
    const last = async () => (await servers.actions(id))[0];
    await expect.poll(last).toMatchObject({ action: 'rescue', message: 'Error', events: [{ result: 'Error' }] });
    expect(await servers.until(id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:vm_state': 'active' });
    expect(await expectWholeAt(live, id, hostname)).toEqual([root]);
  });

  it('that Glance does not give as it was stored is no server', async () => {
    glance.rules(...(['cut', 'corrupt', 'short'] as const).map((fault) => ({ ...ofData, times: 1, fault })), {
      ...ofData,
      fault: unavailable,
    });
    const ids = await Promise.all(Array.from({ length: 4 }, () => servers.create('vm')));
    for (const id of ids) await expectFailedBuild(live, id, 'is error', ids);
    expect(glance.unmet).toEqual([]);
  });

  it('that is deleted after it was asked for is no server', async () => {
    const [early, late] = [await ownImage(), await ownImage()];
    glance.rules({ ...ofData, fault: 'hold' });
    const copied = await servers.create('vm', { imageRef: late });
    await until('its data is asked for', async () => glance.met > 0, 60_000);
    const { cinder } = faulty.services;
    cinder.rules({ method: 'POST', path: /\/volumes$/, fault: 'hold' });
    const asked = await servers.create('vm', { imageRef: early });
    await until('its volume is asked for', async () => cinder.met > 0, 60_000);
    await removeImage(early);
    await removeImage(late);
    faulty.pass();
    glance.rules();
    await expectFailedBuild(live, asked, 'Invalid image identifier', [copied]);
    await expectFailedBuild(live, copied, 'is error', [asked]);
  });
});
