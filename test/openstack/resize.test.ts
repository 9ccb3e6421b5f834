/** Servers that get another flavor where they are, moves that nobody confirms, and flavors that a server can't have. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { restNode } from '../../tools/demo/node-client.ts';
import { NAMES } from '../../tools/openstack/bootstrap.ts';
import { openNode } from '../../tools/openstack/node.ts';
import { liveServers } from './support/live.ts';
import { NODES, type NodeName, nodeOptions, PEER } from './support/nodes.ts';

/** nova's power states. */
const power = { running: 1, off: 4 } as const;

/** A server's life here is several moves, and each takes as long as a build and a delete. */
const movesMs = 360_000;

describe.skipIf(PEER !== 'ours')('a server that gets another flavor', { timeout: movesMs }, () => {
  const { cloud, servers, volumes } = liveServers();
  const flavors = new Map<string, string>();

  beforeAll(async () => {
    const path = '/flavors';
    const body = { flavor: { name: 'm1.flat', vcpus: 1, ram: 192, disk: 0 } };
    await cloud.admin.call('compute', 'POST', path, { body });
    const answer = await cloud.admin.call<{ flavors: readonly { id: string; name: string }[] }>('compute', 'GET', path);
    for (const { id, name } of answer.flavors) flavors.set(name, id);
  });
  afterAll(async () => {
    await cloud.admin.call('compute', 'DELETE', `/flavors/${flavors.get('m1.flat')}`);
  });

  const resize = (id: string, flavor: string) => servers.act(id, { resize: { flavorRef: flavors.get(flavor) } });

  /** What it has: as nova says it, as the node does, and what Placement holds for it and for its moves on the node. */
  async function has(id: string) {
    const { flavor } = await cloud.admin
      .call<{ server: { flavor: { original_name: string; ram: number } } }>('compute', 'GET', `/servers/${id}`)
      .then(({ server }) => server);
    const here = await restNode(cloud.node('vm').socket).instance(id);
    expect(here.flavor.memory_mib).toBe(flavor.ram);
    const { resource_providers: providers } = await cloud.admin.call<{ resource_providers: { uuid: string }[] }>(
      'placement',
      'GET',
      `/resource_providers?name=${NODES.vm.hostname}`,
    );
    const { allocations } = await cloud.admin.call<{
      allocations: Readonly<Record<string, { resources: { MEMORY_MB: number } }>>;
    }>('placement', 'GET', `/resource_providers/${providers[0]?.uuid}/allocations`);
    const memory = Object.values(allocations).map(({ resources }) => resources.MEMORY_MB);
    return { flavor: flavor.original_name, memory: memory.toSorted((one, other) => one - other) };
  }

  it('has it on the same host, and the old one again where that is taken back', async () => {
    const { tiny, small, medium } = NAMES.flavors;
    const id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
    const [root] = await volumes.ofServer(id);
    await volumes.write(root?.volumeId ?? '', 4096, Buffer.from('what the guest wrote'));
    const written = await volumes.checksum(root?.volumeId ?? '');
    expect(await has(id)).toEqual({ flavor: tiny, memory: [128] });

    await resize(id, small);
    expect(await servers.until(id, 'VERIFY_RESIZE')).toMatchObject({
      'OS-EXT-SRV-ATTR:host': NODES.vm.hostname,
      'OS-EXT-STS:power_state': power.running,
    });
    expect(await has(id)).toEqual({ flavor: small, memory: [128, 256] });
    await servers.act(id, { confirmResize: null });
    await servers.until(id, 'ACTIVE');
    await expect.poll(() => has(id)).toEqual({ flavor: small, memory: [256] });

    await resize(id, medium);
    await servers.until(id, 'VERIFY_RESIZE');
    expect(await has(id)).toEqual({ flavor: medium, memory: [256, 512] });
    await servers.act(id, { revertResize: null });
    expect(await servers.until(id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:power_state': power.running });
    await expect.poll(() => has(id)).toEqual({ flavor: small, memory: [256] });

    await servers.act(id, { 'os-stop': null });
    await servers.until(id, 'SHUTOFF');
    await resize(id, medium);
    expect(await servers.until(id, 'VERIFY_RESIZE')).toMatchObject({ 'OS-EXT-STS:power_state': power.off });
    await servers.act(id, { confirmResize: null });
    expect(await servers.until(id, 'SHUTOFF')).toMatchObject({ 'OS-EXT-STS:power_state': power.off });
    await expect.poll(() => has(id)).toEqual({ flavor: medium, memory: [512] });

    expect((await volumes.ofServer(id)).map(({ volumeId }) => volumeId)).toEqual([root?.volumeId]);
    expect(await volumes.checksum(root?.volumeId ?? '')).toBe(written);
    const events = (await servers.actions(id)).flatMap(({ events: each }) => each.map(({ result }) => result));
    expect(new Set(events)).toEqual(new Set(['Success']));
  });

  it('keeps its disk whatever disk the flavor has, and its flavor where no host has room for another', async () => {
    const id = await servers.create('vm', { networks: 'none' });
    await servers.until(id, 'ACTIVE');
    const [root] = await volumes.ofServer(id);
    await resize(id, 'm1.flat');
    await servers.until(id, 'VERIFY_RESIZE');
    await servers.act(id, { confirmResize: null });
    await servers.until(id, 'ACTIVE');
    expect(await volumes.show(root?.volumeId ?? '')).toMatchObject({ size: 1, status: 'in-use' });

    const metal = await servers.create('bm', { networks: 'none' });
    await servers.until(metal, 'ACTIVE');
    await resize(id, NAMES.flavors.metal);
    await servers.until(id, 'ACTIVE');
    expect(await has(id)).toEqual({ flavor: 'm1.flat', memory: [192] });
    const action = (await servers.actions(id))[0];
    expect(action).toMatchObject({ action: 'resize', message: expect.any(String) });
  });

  /** The node's daemon with other settings of its platform. */
  async function restart(name: NodeName, openstack: Readonly<Record<string, unknown>>): Promise<void> {
    const node = await openNode({ ...nodeOptions(cloud.stack, NODES[name]), openstack });
    await node.stop();
    await node.start();
  }

  it('has it for good where nobody confirms that in time', async () => {
    const confirmed = async (id: string): Promise<void> => {
      await servers.until(id, 'ACTIVE');
      await expect
        .poll(async () => (await servers.actions(id))[0])
        .toMatchObject({ action: 'confirmResize', events: [{ result: 'Success', event: 'compute_confirm_resize' }] });
    };
    const id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
    for (const name of ['bm', 'vm'] as const) await restart(name, { resize_confirm_window_s: 1 });
    try {
      await resize(id, NAMES.flavors.metal);
      await expect.poll(async () => (await servers.show(id))['OS-EXT-SRV-ATTR:host']).toBe(NODES.bm.hostname);
      await confirmed(id);
      await resize(id, NAMES.flavors.small);
      await expect.poll(async () => (await servers.show(id))['OS-EXT-SRV-ATTR:host']).toBe(NODES.vm.hostname);
      await confirmed(id);
      await expect.poll(() => has(id)).toEqual({ flavor: NAMES.flavors.small, memory: [256] });
      const { migrations } = await cloud.admin.call<{ migrations: readonly { status: string }[] }>(
        'compute',
        'GET',
        `/os-migrations?instance_uuid=${id}`,
      );
      expect(migrations.map(({ status }) => status)).toEqual(['confirmed', 'confirmed']);
    } finally {
      for (const name of ['bm', 'vm'] as const) await restart(name, {});
    }
  });
});
