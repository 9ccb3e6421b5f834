/**
 * The daemon killed in the middle of what is done to a server, where it hurts most: a service has done what it was asked for, and its answer never came. Started again,
 * it goes on, and nova, Neutron, Cinder, Placement and the node agree.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NAMES } from '../../tools/openstack/bootstrap.ts';
import { until } from '../support/wait.ts';
import { type FaultyNode, openFaultyNode } from './support/faulty-node.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';
import { expectWholeAt } from './support/whole.ts';

const { hostname } = NODES.vm;

describe.skipIf(PEER === 'stock')('a daemon that is killed', { timeout: 300_000 }, () => {
  const live = liveServers({ clean: 'all' });
  const { cloud, servers, volumes } = live;
  let faulty: FaultyNode;
  /** What all of it is done to. */
  let id: string;

  beforeAll(async () => {
    faulty = await openFaultyNode(cloud);
    await faulty.node.start();
    id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
  });
  afterAll(async () => {
    faulty.pass();
    if (faulty.node.pid() === undefined) await faulty.node.start();
    await servers.removeAll();
    await volumes.removeAll();
    await faulty.close();
  });

  /** Kills it when Cinder has done this, and before it can know; then starts it again. */
  async function killedAt(method: string, path: RegExp, work: () => Promise<unknown>): Promise<void> {
    const { cinder } = faulty.services;
    cinder.rules({ method, path, times: 1, fault: 'swallowed' });
    await work();
    await until(`${method} ${path} is done`, async () => cinder.met > 0, 60_000);
    await faulty.node.kill();
    faulty.pass();
    await faulty.node.start();
  }

  /** It is here with so many disks, does nothing, and no action of it has failed. */
  async function expectWhole(disks: number): Promise<void> {
    expect(await servers.show(id)).toMatchObject({ 'OS-EXT-STS:task_state': null });
    await expectWholeAt(live, id, hostname, disks);
    expect(await results()).not.toContain('Error');
  }

  /** Of all events of all actions; null of one that is under way. */
  async function results(): Promise<readonly (string | null)[]> {
    return (await servers.actions(id)).flatMap(({ events }) => events.map(({ result }) => result));
  }

  it('has a volume attached once, and taken back once', async () => {
    const volume = await volumes.create(1);
    const path = `/servers/${id}/os-volume_attachments`;
    const attach = (): Promise<unknown> =>
      cloud.admin.call('compute', 'POST', path, { body: { volumeAttachment: { volumeId: volume } } });
    const detach = (): Promise<unknown> => cloud.admin.call('compute', 'DELETE', `${path}/${volume}`);
    await killedAt('PUT', /\/attachments\//, attach);
    await volumes.until(volume, 'in-use');
    await expectWhole(2);
    await killedAt('DELETE', /\/attachments\//, detach);
    await volumes.until(volume, 'available');
    await until('nova has forgotten it', async () => (await volumes.ofServer(id)).length === 1);
    await expectWhole(1);
    await killedAt('POST', /\/attachments\/.*\/action/, attach);
    await volumes.until(volume, 'in-use');
    await until('it is done', async () => (await results()).every((result) => result === 'Success'));
    await expectWhole(2);
  });

  it('has a server shelved, back, and rebuilt', async () => {
    await killedAt('POST', /\/attachments$/, () => servers.act(id, { shelve: null }));
    await servers.until(id, 'SHELVED_OFFLOADED');
    expect(await volumes.ofServer(id)).toHaveLength(2);
    await killedAt('PUT', /\/attachments\//, () => servers.act(id, { unshelve: null }));
    await servers.until(id, 'ACTIVE');
    await expectWhole(2);
    await killedAt('POST', /\/volumes\/.*\/action/, () => servers.act(id, { rebuild: { imageRef: cloud.image } }));
    await servers.until(id, 'ACTIVE');
    await expectWhole(2);
  });

  it('has a server resized, and taken back', async () => {
    const { flavors } = await cloud.admin.call<{ flavors: readonly { id: string; name: string }[] }>(
      'compute',
      'GET',
      '/flavors',
    );
    const small = flavors.find(({ name }) => name === NAMES.flavors.small)?.id;
    await killedAt('POST', /\/attachments$/, () => servers.act(id, { resize: { flavorRef: small } }));
    await servers.until(id, 'VERIFY_RESIZE');
    await killedAt('PUT', /\/attachments\//, () => servers.act(id, { revertResize: null }));
    await servers.until(id, 'ACTIVE');
    await expectWhole(2);
    await killedAt('PUT', /\/attachments\//, () => servers.act(id, { resize: { flavorRef: small } }));
    await servers.until(id, 'VERIFY_RESIZE');
    await servers.act(id, { confirmResize: null });
    await servers.until(id, 'ACTIVE');
    await expectWhole(2);
  });
});
