/** What servers' users do to the power of their servers, and servers that are deleted softly. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openNode } from '../../tools/openstack/node.ts';
import { liveServers } from './support/live.ts';
import { NODES, type NodeName, nodeOptions, PEER } from './support/nodes.ts';

/** nova's power states. */
const power = { running: 1, paused: 3, off: 4 } as const;

/** One test restarts nova-api twice and a node, beside a server's life. */
const livesMs = 360_000;

const { cloud, servers, volumes } = liveServers();

describe.skipIf(PEER !== 'ours').each(['bm', 'vm'] as const)('the power of a server on the node %s', (name) => {
  /** Results of the newest action's events. */
  async function lastResult(id: string): Promise<readonly (string | null)[]> {
    const all = await servers.actions(id);
    return all[0]?.events.map(({ result }) => result) ?? [];
  }

  it('is switched by reboots, and what a bare-metal host can’t do is refused and changes nothing', async () => {
    const id = await servers.create(name, { networks: 'none' });
    await servers.until(id, 'ACTIVE');
    for (const type of ['SOFT', 'HARD']) {
      await servers.act(id, { reboot: { type } });
      expect(await servers.until(id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:power_state': power.running });
      expect(await lastResult(id)).toEqual(['Success']);
    }
    await servers.act(id, { 'os-stop': null });
    await servers.until(id, 'SHUTOFF');
    await expect(servers.act(id, { reboot: { type: 'SOFT' } })).rejects.toMatchObject({ status: 409 });
    await servers.act(id, { reboot: { type: 'HARD' } });
    expect(await servers.until(id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:power_state': power.running });

    for (const [action, back, status, state] of [
      ['pause', 'unpause', 'PAUSED', power.paused],
      ['suspend', 'resume', 'SUSPENDED', power.off],
    ] as const) {
      await servers.act(id, { [action]: null });
      if (name === 'vm') {
        expect(await servers.until(id, status)).toMatchObject({ 'OS-EXT-STS:power_state': state });
        await servers.act(id, { [back]: null });
      }
      expect(await servers.until(id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:power_state': power.running });
      await expect.poll(() => lastResult(id)).toEqual([name === 'vm' ? 'Success' : 'Error']);
    }
    expect((await servers.show(id)).fault).toBeUndefined();
  });

  it('and all else stays as it is where no node can do what is asked', async () => {
    const id = await servers.create(name, { networks: 'none' });
    const other = await volumes.create(1);
    await servers.until(id, 'ACTIVE');
    const [root] = await volumes.ofServer(id);
    await servers.act(id, { trigger_crash_dump: null });
    await expect.poll(() => lastResult(id)).toEqual(['Error']);

    const data = await volumes.create(1);
    const path = `/servers/${id}/os-volume_attachments`;
    await cloud.admin.call('compute', 'POST', path, { body: { volumeAttachment: { volumeId: data } } });
    await volumes.until(data, 'in-use');
    await cloud.admin.call('compute', 'PUT', `${path}/${data}`, { body: { volumeAttachment: { volumeId: other } } });
    await expect
      .poll(async () => (await servers.actions(id))[0])
      .toMatchObject({ action: 'swap_volume', events: [{ result: 'Error' }] });
    await volumes.until(other, 'available');
    await volumes.until(data, 'in-use');
    expect((await volumes.ofServer(id)).map(({ volumeId }) => volumeId).toSorted()).toEqual(
      [root?.volumeId, data].toSorted(),
    );

    const host = `/os-hosts/${NODES[name].hostname}`;
    const old = { microversion: '2.1' };
    const mode = { body: { maintenance_mode: 'enable' }, ...old };
    await expect(cloud.admin.call('compute', 'GET', `${host}/reboot`, old)).rejects.toMatchObject({ status: 501 });
    await expect(cloud.admin.call('compute', 'PUT', host, mode)).rejects.toMatchObject({ status: 501 });
    expect(await servers.until(id, 'ACTIVE')).toMatchObject({ 'OS-EXT-STS:power_state': power.running });
  });
});

describe.skipIf(PEER !== 'ours')('a server that is deleted softly', { timeout: livesMs }, () => {
  /** nova-api as an operator sets it who lets users restore what they deleted; and as it was again. */
  async function withSoftDeletes(work: () => Promise<void>): Promise<void> {
    const file = join(cloud.stack.layout.dir, 'etc/nova/nova.conf');
    const before = await readFile(file, 'utf8');
    const restart = async (text: string): Promise<void> => {
      await writeFile(file, text);
      await cloud.stack.stop('nova-api');
      await cloud.stack.start('nova-api');
    };
    await restart(`${before}\n[DEFAULT]\nreclaim_instance_interval = 3600\n`);
    try {
      await work();
    } finally {
      await restart(before);
    }
  }

  async function restartVmNode(openstack: Readonly<Record<string, unknown>>): Promise<void> {
    const node = await openNode({ ...nodeOptions(cloud.stack, NODES.vm), openstack });
    await node.stop();
    await node.start();
  }

  it('is off, comes back, and goes for good by its user or by its time', async () => {
    const names: readonly NodeName[] = ['bm', 'vm'];
    const ids = await Promise.all(names.map((name) => servers.create(name)));
    const [bm = '', vm = ''] = ids;
    const all = (status: string) => Promise.all(ids.map((id) => servers.until(id, status)));
    await all('ACTIVE');
    await withSoftDeletes(async () => {
      for (const id of ids) await servers.remove(id);
      for (const server of await all('SOFT_DELETED')) {
        expect(server).toMatchObject({ 'OS-EXT-STS:vm_state': 'soft-delete', 'OS-EXT-STS:power_state': power.off });
        expect(await servers.ports(server.id)).toHaveLength(1);
      }
      for (const id of ids) await servers.act(id, { restore: null });
      for (const server of await all('ACTIVE')) {
        expect(server).toMatchObject({ 'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:power_state': power.running });
      }
      for (const id of ids) await servers.remove(id);
      await all('SOFT_DELETED');
      await servers.act(bm, { forceDelete: null });
      await servers.untilGone(bm);
      await restartVmNode({ reclaim_instance_interval_s: 1 });
      try {
        await servers.untilGone(vm);
      } finally {
        await restartVmNode({});
      }
    });
  });
});
