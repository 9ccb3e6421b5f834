/** Servers of a host that went down are taken over by another: all that they have goes there, and the old host gives away nothing that is theirs. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { restNode } from '../../tools/demo/node-client.ts';
import type { Node } from '../../tools/openstack/node.ts';
import { until } from '../support/wait.ts';
import { type FaultyNode, openFaultyNode } from './support/faulty-node.ts';
import { liveServers } from './support/live.ts';
import { NODES, type NodeName, PEER } from './support/nodes.ts';
import { expectWholeAt } from './support/whole.ts';

/** Nodes that only this file has. */
const SPARES = {
  bm: { hostname: 'bm-spare', type: 'BM' },
  vm: { hostname: 'vm-spare', type: 'VM' },
} as const;

/** nova's power states. */
const power = { running: 1, off: 4 } as const;

/** A test here is a node that is killed and started again, beside several lives of servers. */
const livesMs = 300_000;

describe.skipIf(PEER !== 'ours')('a server of a host that is down', { timeout: livesMs }, () => {
  const live = liveServers({ spares: Object.values(SPARES) });
  const { cloud, servers, volumes, hosts } = live;
  /** The node of VMs. */
  let faulty: FaultyNode;

  beforeAll(async () => {
    faulty = await openFaultyNode(cloud);
    await faulty.node.start();
  });
  afterEach(() => {
    faulty.pass();
  });
  afterAll(async () => {
    await faulty.close();
  });

  /** One that runs on the host, whose disk has bytes of its own; `checksum` is what they must stay. */
  async function written(name: NodeName, host: string): Promise<{ id: string; root: string; checksum: string }> {
    const id = await servers.create(name, { host });
    await servers.until(id, 'ACTIVE');
    const root = (await volumes.ofServer(id))[0]?.volumeId ?? '';
    await volumes.write(root, 0, randomBytes(4096));
    return { id, root, checksum: await volumes.checksum(root) };
  }

  const evacuate = (id: string, host: string): Promise<unknown> => servers.act(id, { evacuate: { host } });

  /** Waits until it is there, and does nothing any more. */
  async function untilAt(id: string, host: string, status: string): Promise<void> {
    const there = async (): Promise<boolean> => (await servers.show(id))['OS-EXT-SRV-ATTR:host'] === host;
    await until(`${id} is on ${host}`, there, 90_000);
    await servers.until(id, status);
  }

  /** Status and target of its evacuations, newest first. */
  async function evacuations(id: string): Promise<readonly string[]> {
    const path = `/os-migrations?instance_uuid=${id}&migration_type=evacuation`;
    const { migrations } = await cloud.admin.call<{
      migrations: readonly { status: string; source_compute: string; dest_compute: string | null }[];
    }>('compute', 'GET', path);
    return migrations.map(({ status, source_compute: from, dest_compute: to }) => `${status} ${from} ${to}`);
  }

  /** What a node itself says of a server: its state, and what it boots from. */
  async function onNode(node: Node, id: string): Promise<{ state: string; boots: readonly string[] }> {
    const { state, volumes: disks } = await restNode(node.socket).instance(id);
    return { state, boots: disks.filter(({ boot }) => boot).map(({ volume_id: volume }) => volume) };
  }

  it.each(['bm', 'vm'] as const)(
    'runs on another node %s from its disk, on or off, and the old one lets go',
    async (name) => {
      const { hostname } = NODES[name];
      const { hostname: spare } = SPARES[name];
      const { id, root, checksum } = await written(name, hostname);
      const { addresses } = await servers.show(id);
      // a bare-metal node has but one server
      const [off, deleted] = name === 'bm' ? [] : await Promise.all([written(name, hostname), written(name, hostname)]);
      if (off !== undefined) {
        await servers.act(off.id, { 'os-stop': null });
        await servers.until(off.id, 'SHUTOFF');
      }
      await hosts.whileDown(name === 'bm' ? cloud.node('bm') : faulty.node, async () => {
        expect(await servers.show(id)).toMatchObject({ host_status: 'DOWN' });
        // nova-api deletes by itself what is on a host that is down
        if (deleted !== undefined) {
          await servers.remove(deleted.id);
          await servers.untilGone(deleted.id);
        }
        await evacuate(id, spare);
        if (off !== undefined) await evacuate(off.id, spare);
        await untilAt(id, spare, 'ACTIVE');
        if (off !== undefined) await untilAt(off.id, spare, 'SHUTOFF');
        expect(await hosts.tracesOn(hostname)).not.toEqual([]);
      });
      await expect.poll(() => hosts.tracesOn(hostname)).toEqual([]);
      await expect.poll(() => evacuations(id)).toEqual([`completed ${hostname} ${spare}`]);
      // the server has noticed nothing of its old host's return
      expect(await servers.show(id)).toMatchObject({ addresses, 'OS-EXT-STS:power_state': power.running });
      expect(await expectWholeAt(live, id, spare)).toEqual([root]);
      expect(await onNode(cloud.node(spare), id)).toEqual({ state: 'active', boots: [root] });
      expect(await volumes.checksum(root)).toBe(checksum);
      const events = (await servers.actions(id)).find(({ action }) => action === 'evacuate')?.events ?? [];
      expect(events.map(({ event, result }) => `${event} ${result}`)).toContain('compute_rebuild_instance Success');
      if (off === undefined) return;
      expect(await servers.show(off.id)).toMatchObject({ 'OS-EXT-STS:power_state': power.off });
      expect(await expectWholeAt(live, off.id, spare)).toEqual([off.root]);
      expect(await volumes.checksum(off.root)).toBe(off.checksum);
      await servers.act(off.id, { 'os-start': null });
      expect(await servers.until(off.id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:power_state': power.running });
    },
  );

  it('keeps all that it has there, whatever was under way for it here', async () => {
    const { hostname } = NODES.vm;
    const { hostname: spare } = SPARES.vm;
    const { cinder } = faulty.services;
    const [one, other] = await Promise.all([written('vm', hostname), written('vm', hostname)]);
    const data = await volumes.create(1);
    // Cinder does both, and the node never hears of it
    cinder.rules({ method: 'PUT', path: /\/attachments\//, times: 1, fault: 'swallowed' });
    const attach = { volumeAttachment: { volumeId: data } };
    await cloud.admin.call('compute', 'POST', `/servers/${one.id}/os-volume_attachments`, { body: attach });
    await until('a volume is attached', async () => cinder.met > 0, 60_000);
    cinder.rules({ method: 'POST', path: /\/attachments\/.*\/action/, times: 1, fault: 'swallowed' });
    await servers.act(other.id, { rebuild: { imageRef: cloud.image } });
    await until('a rebuild has its disk', async () => cinder.met > 0, 60_000);
    const rebuilt = await volumes.checksum(other.root);
    // a build's last word but one, when its server is active
    const told = faulty.relay.deafFrom('update_instance_info');
    const built = await servers.create('vm');
    await told;
    await servers.until(built, 'ACTIVE');
    const underWay = { [one.id]: 'attach_volume', [other.id]: 'rebuild_instance', [built]: 'build_and_run_instance' };
    const all = Object.keys(underWay);
    const requests = async (): Promise<readonly string[]> =>
      (await faulty.requests())
        .filter(({ method, instance }) => instance !== null && underWay[instance] === method)
        .map(({ method, state }) => `${method} ${state}`)
        .toSorted();
    const states = (state: string): readonly string[] =>
      Object.values(underWay)
        .map((method) => `${method} ${state}`)
        .toSorted();
    expect(await requests()).toEqual(states('running'));

    await hosts.whileDown(faulty.node, async () => {
      faulty.pass();
      // no server is evacuated in the middle of a rebuild unless its operator says what it is
      await servers.act(other.id, { 'os-resetState': { state: 'active' } });
      await Promise.all(all.map((id) => evacuate(id, spare)));
      await Promise.all(all.map((id) => untilAt(id, spare, 'ACTIVE')));
    });
    await expect.poll(() => hosts.tracesOn(hostname)).toEqual([]);
    for (const id of all) await expect.poll(() => evacuations(id)).toEqual([`completed ${hostname} ${spare}`]);
    expect((await expectWholeAt(live, one.id, spare, 2)).toSorted()).toEqual([one.root, data].toSorted());
    expect(await expectWholeAt(live, other.id, spare)).toEqual([other.root]);
    await expectWholeAt(live, built, spare);
    expect(await volumes.checksum(one.root)).toBe(one.checksum);
    expect(await volumes.checksum(other.root)).toBe(rebuilt);
    for (const id of all)
      expect(await servers.show(id)).toMatchObject({ status: 'ACTIVE', 'OS-EXT-STS:task_state': null });
    expect(await requests()).toEqual(states('failed'));
  });

  it('is in error where it was, if the other host fails, and is taken over at the next try', async () => {
    const { hostname: here } = SPARES.vm;
    const { hostname: there } = NODES.vm;
    const { id, root, checksum } = await written('vm', here);
    await hosts.whileDown(cloud.node(here), async () => {
      const fault = { status: 400, body: { badRequest: { code: 400, message: 'no' } } };
      faulty.services.cinder.rules({ method: 'PUT', path: /\/attachments\//, fault });
      await evacuate(id, there);
      await expect(servers.until(id, 'ACTIVE')).rejects.toThrow('is in ERROR');
      expect(await servers.show(id)).toMatchObject({
        'OS-EXT-STS:vm_state': 'error',
        'OS-EXT-STS:task_state': null,
        'OS-EXT-SRV-ATTR:host': here,
        fault: { message: expect.stringContaining('connect attachment') },
      });
      expect(await evacuations(id)).toEqual([`failed ${here} ${there}`]);
      await expect.poll(() => hosts.tracesOn(there)).toEqual([]);
      expect(await volumes.checksum(root)).toBe(checksum);
      faulty.pass();
      await evacuate(id, there);
      await untilAt(id, there, 'ACTIVE');
    });
    await expect.poll(() => hosts.tracesOn(here)).toEqual([]);
    await expect.poll(() => evacuations(id)).toEqual([`completed ${here} ${there}`, `failed ${here} ${there}`]);
    expect(await expectWholeAt(live, id, there)).toEqual([root]);
    expect(await volumes.checksum(root)).toBe(checksum);
  });
});
