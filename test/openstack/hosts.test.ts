/** What an operator does to hosts: no new servers on one, one that goes and comes. */
import { describe, expect, it } from 'vitest';
import { untilNodesUp } from '../../tools/openstack/node.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';

const { hostname } = NODES.vm;

/** A second node of virtual machines, which only this file has. */
const SPARE = { hostname: 'vm-spare', type: 'VM' } as const;

/** A row of `openstack hypervisor list`, as its names are. */
interface HypervisorRow {
  readonly 'Hypervisor Hostname': string;
  readonly 'Hypervisor Type': string;
  readonly State: string;
}

/** A hypervisor as the last API shows it that has their resources. */
interface Hypervisor {
  readonly hypervisor_hostname: string;
  readonly vcpus_used: number;
}

const withResources = { microversion: '2.87' } as const;

describe.skipIf(PEER !== 'ours')('a host', () => {
  const { cloud, servers, hosts } = liveServers({ spares: [SPARE] });

  async function providers(host: string): Promise<readonly string[]> {
    const { resource_providers: found } = await cloud.admin.call<{ resource_providers: readonly { uuid: string }[] }>(
      'placement',
      'GET',
      `/resource_providers?name=${host}`,
    );
    return found.map(({ uuid }) => uuid);
  }

  async function traits(host: string): Promise<readonly string[]> {
    const path = `/resource_providers/${(await providers(host))[0]}/traits`;
    return (await cloud.admin.call<{ traits: readonly string[] }>('placement', 'GET', path)).traits;
  }

  async function active(): Promise<string> {
    const id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
    return id;
  }

  it('keeps its servers and gets no new one while it is disabled, and shows what they use', async () => {
    const running = await active();
    const before = await servers.show(running);
    const reason = 'a fan is to be changed';
    await cloud.command(
      ...['compute', 'service', 'set', '--disable', '--disable-reason', reason, hostname, 'nova-compute'],
    );
    try {
      expect(await hosts.service(hostname)).toMatchObject({ status: 'disabled', disabled_reason: reason });
      expect(await traits(hostname)).toContain('COMPUTE_STATUS_DISABLED');
      const refused = await servers.create('vm', { networks: 'none' });
      await expect(servers.until(refused, 'ACTIVE')).rejects.toThrow('No valid host');
      expect(await servers.show(running)).toEqual({ ...before, host_status: 'MAINTENANCE' });
    } finally {
      await hosts.put(hostname, { status: 'enabled' });
    }
    expect(await traits(hostname)).not.toContain('COMPUTE_STATUS_DISABLED');

    const [list, shown, usage] = await Promise.all([
      cloud.client<readonly HypervisorRow[]>('hypervisor', 'list'),
      cloud.client<Readonly<Record<string, unknown>>>('hypervisor', 'show', hostname),
      cloud.client<{ Servers: readonly { instance_id: string }[] }>(
        'usage',
        'show',
        '--project',
        cloud.admin.projectId,
      ),
    ]);
    const row = (host: string) => list.find(({ 'Hypervisor Hostname': name }) => name === host);
    expect(row(hostname)).toMatchObject({ 'Hypervisor Type': 'QEMU', State: 'up' });
    expect(row(NODES.bm.hostname)).toMatchObject({ 'Hypervisor Type': 'baremetal', State: 'up' });
    expect(shown).toMatchObject({
      hypervisor_hostname: hostname,
      service_host: hostname,
      state: 'up',
      status: 'enabled',
      uptime: expect.stringMatching(/\d/),
      load_average: expect.stringMatching(/^[\d.]+, [\d.]+, [\d.]+$/),
    });
    const { hypervisors } = await cloud.admin.call<{ hypervisors: readonly Hypervisor[] }>(
      'compute',
      'GET',
      '/os-hypervisors/detail',
      withResources,
    );
    const of = (host: string) => hypervisors.find(({ hypervisor_hostname: name }) => name === host);
    expect(of(hostname)).toMatchObject({ vcpus: 64, vcpus_used: 1, memory_mb: 65_536, running_vms: 1 });
    expect(of(NODES.bm.hostname)).toMatchObject({ vcpus: 64, vcpus_used: 0, memory_mb: 65_536, running_vms: 0 });
    const { hypervisor_statistics: stats } = await cloud.admin.call<{ hypervisor_statistics: unknown }>(
      'compute',
      'GET',
      '/os-hypervisors/statistics',
      withResources,
    );
    expect(stats).toMatchObject({
      count: hypervisors.length,
      running_vms: 1,
      vcpus: 64 * hypervisors.length,
      vcpus_used: 1,
    });
    const used = usage.Servers.find(({ instance_id: id }) => id === running);
    expect(used).toMatchObject({ state: 'active', flavor: 'm1.tiny', vcpus: 1, memory_mb: 128, ended_at: null });
  });

  it('registers anew after its service was deleted, with the uuid that it had', async () => {
    const old = await hosts.service(SPARE.hostname);
    const uuids = await providers(SPARE.hostname);
    expect(uuids.length).toBe(1);
    await cloud.forgetHost(SPARE.hostname);
    expect(await providers(SPARE.hostname)).toEqual([]);
    await cloud.node(SPARE.hostname).stop();
    await cloud.node(SPARE.hostname).start();
    await untilNodesUp(cloud.stack, [SPARE.hostname]);
    expect((await hosts.service(SPARE.hostname)).id).not.toBe(old.id);
    expect(await providers(SPARE.hostname)).toEqual(uuids);
  });
});
