/** The life of a server on a bare-metal node and on a node for VMs, as a client of nova sees it, and what is left of it: nothing. */
import { describe, expect, it } from 'vitest';
import { expectNothingLeft } from './support/leaks.ts';
import { liveServers } from './support/live.ts';
import { NODES, type NodeName } from './support/nodes.ts';

/** nova's power states. */
const RUNNING = 1;
const SHUTDOWN = 4;

describe.each(Object.keys(NODES) as NodeName[])('a server on the node %s', (name) => {
  const { hostname } = NODES[name];
  const { cloud, servers } = liveServers();

  it('becomes active with its address, its port and its action', async () => {
    const id = await servers.create(name);
    const server = await servers.until(id, 'ACTIVE');
    expect(server).toMatchObject({
      'OS-EXT-STS:vm_state': 'active',
      'OS-EXT-STS:power_state': RUNNING,
      'OS-EXT-SRV-ATTR:host': hostname,
      'OS-EXT-SRV-ATTR:hypervisor_hostname': hostname,
    });
    expect(server).toMatchObject({
      'OS-EXT-SRV-ATTR:instance_name': expect.stringMatching(/^instance-[0-9a-f]{8}$/),
      'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
      'OS-EXT-AZ:availability_zone': 'nova',
      'OS-SRV-USG:terminated_at': null,
      host_status: 'UP',
    });
    const launched = server['OS-SRV-USG:launched_at'] ?? '';
    expect(Date.parse(`${launched}Z`)).toBeGreaterThanOrEqual(Date.parse(server.created));

    const [port, ...others] = await servers.ports(id);
    expect(others).toEqual([]);
    expect(port).toMatchObject({
      'binding:host_id': hostname,
      'binding:vif_type': 'ovs',
      device_owner: 'compute:nova',
    });
    if (cloud.peer === 'ours') await expect.poll(async () => (await servers.ports(id))[0]?.status).toBe('ACTIVE');
    expect(server.addresses).toMatchObject({
      private: [{ addr: port?.fixed_ips[0]?.ip_address, 'OS-EXT-IPS-MAC:mac_addr': port?.mac_address }],
    });

    const [create, ...more] = await servers.actions(id);
    expect(more).toEqual([]);
    expect(create).toMatchObject({ action: 'create', message: null });
    expect(create?.events).toContainEqual(
      expect.objectContaining({
        event: 'compute__do_build_and_run_instance',
        result: 'Success',
        host: hostname,
        finish_time: expect.any(String),
      }),
    );
  });

  it('is stopped and started again', async () => {
    const id = await servers.create(name);
    await servers.until(id, 'ACTIVE');
    const diagnostics = () => cloud.admin.call('compute', 'GET', `/servers/${id}/diagnostics`);
    if (cloud.peer === 'ours') {
      const counted = name === 'vm' ? expect.any(Number) : null;
      expect(await diagnostics()).toMatchObject({
        state: 'running',
        driver: name === 'vm' ? 'libvirt' : 'ironic',
        uptime: counted,
        memory_details: { maximum: expect.any(Number), used: counted },
        nic_details: [{ mac_address: expect.any(String), rx_octets: counted, rx_errors: null }],
        disk_details: name === 'vm' ? [{ read_bytes: counted, errors_count: null }] : [],
      });
    }
    await servers.act(id, { 'os-stop': null });
    const stopped = await servers.until(id, 'SHUTOFF');
    if (cloud.peer === 'ours') await expect(diagnostics()).rejects.toMatchObject({ status: 409 });
    expect(stopped).toMatchObject({ 'OS-EXT-STS:vm_state': 'stopped', 'OS-EXT-STS:power_state': SHUTDOWN });
    await servers.act(id, { 'os-start': null });
    const started = await servers.until(id, 'ACTIVE');
    expect(started).toMatchObject({ 'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:power_state': RUNNING });
    const events = (await servers.actions(id)).flatMap(({ action, events: each }) =>
      each.filter(({ host }) => host === hostname).map(({ event, result }) => `${action} ${event} ${result}`),
    );
    expect(events).toEqual(
      expect.arrayContaining(['stop compute_stop_instance Success', 'start compute_start_instance Success']),
    );
    const listed = await cloud.client<readonly { Action: string; 'Request ID': string }[]>(
      'server',
      'event',
      'list',
      id,
    );
    expect(listed.map(({ Action: action }) => action)).toEqual(['start', 'stop', 'create']);
    const shown = await cloud.client<Readonly<Record<string, unknown>>>(
      ...['server', 'event', 'show', id, listed[1]?.['Request ID'] ?? ''],
    );
    expect(shown).toMatchObject({ action: 'stop', message: null, instance_uuid: id });
    expect(JSON.stringify(shown.events)).toContain('compute_stop_instance');
  });

  it('has one NIC for each network that it was asked for, and none where it was asked for none', async () => {
    const networks = [{ uuid: cloud.network('private') }, { uuid: cloud.network('second') }];
    const two = await servers.create(name, { networks });
    const { addresses } = await servers.until(two, 'ACTIVE');
    expect(Object.keys(addresses).toSorted()).toEqual(['private', 'second']);
    await servers.remove(two);
    await servers.untilGone(two);
    const none = await servers.create(name, { networks: 'none' });
    expect((await servers.until(none, 'ACTIVE')).addresses).toEqual({});
    expect(await servers.ports(none)).toEqual([]);
  });

  it('is deleted while it is off, and while it is made', async () => {
    const off = await servers.create(name);
    await servers.until(off, 'ACTIVE');
    await servers.act(off, { 'os-stop': null });
    await servers.until(off, 'SHUTOFF');
    await servers.remove(off);
    await servers.untilGone(off);
    await expectNothingLeft(cloud);
    const early = await servers.create(name);
    await servers.remove(early);
    await servers.untilGone(early);
  });
});

describe('servers of a group', () => {
  const { cloud, servers, undo } = liveServers();

  it('are not on one host where they must not be, though both were asked for at once', async () => {
    const { server_group: group } = await cloud.admin.call<{ server_group: { id: string } }>(
      ...(['compute', 'POST', '/os-server-groups'] as const),
      { body: { server_group: { name: 'apart', policy: 'anti-affinity' } } },
    );
    undo(() => cloud.admin.call('compute', 'DELETE', `/os-server-groups/${group.id}`));
    const make = () => servers.create('vm', { networks: 'none' }, { group: group.id });
    const both = await Promise.all([make(), make()]);
    const ends = await Promise.allSettled(both.map((id) => servers.until(id, 'ACTIVE')));
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const refused = ends.find((end) => end.status === 'rejected');
    // the scheduler knew already, or the host looked again
    expect(String(refused?.reason)).toMatch(/No valid host|Exhausted all hosts/);
  });
});
