/** The NICs and volumes of a server, at its build and after it, and what keeps its volumes when it leaves its host or is made anew. */
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { restNode } from '../../tools/demo/node-client.ts';
import { expectNothingLeft } from './support/leaks.ts';
import { liveServers } from './support/live.ts';
import { NODES, type NodeName, PEER } from './support/nodes.ts';
import type { Port } from './support/servers.ts';
import { CHECKED_BYTES } from './support/volumes.ts';

const GIB = 2 ** 30;
const names: readonly NodeName[] = ['bm', 'vm'];

/** One test has a server made anew five times, each as long as a build. */
const livesMs = 360_000;

describe.skipIf(PEER !== 'ours').each(names)('the devices of a server on the node %s', (name) => {
  const { hostname } = NODES[name];
  const { cloud, servers, volumes, undo } = liveServers();

  async function active(more: Readonly<Record<string, unknown>> = {}, on: NodeName = name): Promise<string> {
    const id = await servers.create(on, more);
    await servers.until(id, 'ACTIVE');
    return id;
  }

  /** A port of the user's own, removed after the test. */
  async function userPort(network: 'private' | 'second', more: Readonly<Record<string, unknown>> = {}): Promise<Port> {
    const body = { port: { network_id: cloud.network(network), name: 'own', ...more } };
    const { port } = await cloud.admin.call<{ port: Port }>('network', 'POST', '/v2.0/ports', { body });
    undo(() => cloud.admin.call('network', 'DELETE', `/v2.0/ports/${port.id}`));
    return port;
  }

  const showPort = async (id: string): Promise<Port> =>
    (await cloud.admin.call<{ port: Port }>('network', 'GET', `/v2.0/ports/${id}`)).port;

  /** What the node itself says of the server. */
  const onNode = async (id: string) => await restNode(cloud.node(name).socket).instance(id);

  /** `action event result` of what this host did, oldest first. */
  async function done(id: string): Promise<readonly string[]> {
    const all = await servers.actions(id);
    return all.flatMap(({ action, events }) =>
      events.filter(({ host }) => host === hostname).map(({ event, result }) => `${action} ${event} ${result}`),
    );
  }

  it('are those that it was asked for with, and its user’s own stay when it goes', async () => {
    const { security_group: group } = await cloud.admin.call<{ security_group: { id: string } }>(
      'network',
      'POST',
      '/v2.0/security-groups',
      { body: { security_group: { name: 'web' } } },
    );
    undo(() => cloud.admin.call('network', 'DELETE', `/v2.0/security-groups/${group.id}`));
    const public_key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ someone';
    await cloud.admin.call('compute', 'POST', '/os-keypairs', {
      body: { keypair: { name: 'someone', type: 'ssh', public_key } },
    });
    undo(() => cloud.admin.call('compute', 'DELETE', '/os-keypairs/someone'));
    const port = await userPort('second');
    const data = await volumes.create(2);
    const id = await active({
      networks: [{ uuid: cloud.network('private') }, { port: port.id }],
      security_groups: [{ name: 'web' }],
      key_name: 'someone',
      metadata: { role: 'web' },
      config_drive: true,
      block_device_mapping_v2: [
        { boot_index: 0, source_type: 'image', destination_type: 'local', uuid: cloud.image },
        { boot_index: -1, source_type: 'volume', destination_type: 'volume', uuid: data },
      ],
    });
    const server = await servers.show(id);
    expect(server).toMatchObject({
      image: { id: cloud.image },
      key_name: 'someone',
      metadata: { role: 'web' },
      config_drive: 'True',
      'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
    });
    expect(Object.keys(server.addresses).toSorted()).toEqual(['private', 'second']);
    expect(server.addresses.second).toMatchObject([
      { addr: port.fixed_ips[0]?.ip_address, 'OS-EXT-IPS-MAC:mac_addr': port.mac_address },
    ]);
    const own = (await servers.ports(id)).find((each) => each.id !== port.id);
    expect(own).toMatchObject({ security_groups: [group.id] });

    const attached = await volumes.ofServer(id);
    const root = attached.find(({ volumeId }) => volumeId !== data);
    expect(attached).toHaveLength(2);
    expect(root).toMatchObject({ device: '/dev/vda', delete_on_termination: true });
    expect(attached.find(({ volumeId }) => volumeId === data)).toMatchObject({
      device: '/dev/vdb',
      delete_on_termination: false,
    });
    expect(await volumes.show(data)).toMatchObject({ status: 'in-use', attachments: [{ server_id: id }] });
    const here = await onNode(id);
    expect(here.volumes).toHaveLength(3); // the config drive is one
    expect(here.volumes.map(({ volume_id }) => volume_id)).toEqual(expect.arrayContaining([root?.volumeId, data]));
    expect(here.interfaces.map(({ mac }) => mac).toSorted()).toEqual([own?.mac_address, port.mac_address].toSorted());
    expect(await cloud.admin.call('compute', 'GET', `/servers/${id}/diagnostics`)).toMatchObject({
      state: 'running',
      num_nics: 2,
      config_drive: true,
      num_disks: 3,
    });

    await servers.remove(id);
    await servers.untilGone(id);
    await volumes.until(data, 'available');
    await expect.poll(async () => await showPort(port.id)).toMatchObject({ device_id: '', device_owner: '' });
    await expectNothingLeft(cloud, [port.id, data]);
  });

  it('are a NIC more and a NIC less while it runs', async () => {
    const id = await active();
    const path = `/servers/${id}/os-interface`;
    const attach = async (body: Readonly<Record<string, unknown>>): Promise<string> => {
      const answer = await cloud.admin.call<{ interfaceAttachment: { port_id: string; port_state: string } }>(
        'compute',
        'POST',
        path,
        { body: { interfaceAttachment: body } },
      );
      return answer.interfaceAttachment.port_id;
    };
    const networks = async (): Promise<readonly string[]> =>
      Object.entries((await servers.show(id)).addresses)
        .flatMap(([network, addresses]) => addresses.map(() => network))
        .toSorted();

    const made = await attach({ net_id: cloud.network('second') });
    expect(await networks()).toEqual(['private', 'second']);
    await expect.poll(async () => (await showPort(made)).status).toBe('ACTIVE');
    const port = await userPort('private');
    expect(await attach({ port_id: port.id })).toBe(port.id);
    expect(await networks()).toEqual(['private', 'private', 'second']);
    await expect.poll(async () => await showPort(port.id)).toMatchObject({ status: 'ACTIVE', device_id: id });
    await expect(attach({ port_id: port.id })).rejects.toMatchObject({ status: 409 });
    expect((await onNode(id)).interfaces).toHaveLength(3);

    await cloud.admin.call('compute', 'DELETE', `${path}/${port.id}`);
    await expect.poll(networks).toEqual(['private', 'second']);
    expect(await showPort(port.id)).toMatchObject({ device_id: '', device_owner: '', 'binding:host_id': '' });
    // its port is deleted behind nova's back
    await cloud.admin.call('network', 'DELETE', `/v2.0/ports/${made}`);
    await expect.poll(networks).toEqual(['private']);
    await expect.poll(async () => (await onNode(id)).interfaces.length).toBe(1);
    const [first] = await servers.ports(id);
    await cloud.admin.call('compute', 'DELETE', `${path}/${first?.id}`);
    await expect.poll(networks).toEqual([]);
    expect(await servers.ports(id)).toEqual([]);
    expect(await servers.until(id, 'ACTIVE')).not.toHaveProperty('fault');
    expect(await done(id)).toEqual(
      expect.arrayContaining([
        'attach_interface compute_attach_interface Success',
        'detach_interface compute_detach_interface Success',
      ]),
    );
  });

  it('are a volume more, which grows and goes', async () => {
    const id = await active({ networks: 'none' });
    const data = await volumes.create(1);
    const path = `/servers/${id}/os-volume_attachments`;
    const attach = async (volume: string) =>
      (
        await cloud.admin.call<{ volumeAttachment: { device: string } }>('compute', 'POST', path, {
          body: { volumeAttachment: { volumeId: volume } },
        })
      ).volumeAttachment;
    expect(await attach(data)).toMatchObject({ device: '/dev/vdb' });
    expect(await volumes.until(data, 'in-use')).toMatchObject({
      attachments: [{ server_id: id, host_name: hostname, device: '/dev/vdb' }],
    });
    await expect.poll(async () => (await onNode(id)).volumes.map(({ volume_id }) => volume_id)).toContain(data);
    await expect(attach(data)).rejects.toMatchObject({ status: 400 });

    await volumes.act(data, { 'os-extend': { new_size: 3 } });
    const sizeOnNode = async () => (await onNode(id)).volumes.find(({ volume_id }) => volume_id === data)?.size_bytes;
    await expect.poll(sizeOnNode).toBe(3 * GIB);
    await expect.poll(async () => await volumes.show(data)).toMatchObject({ status: 'in-use', size: 3 });

    const [root] = (await volumes.ofServer(id)).filter(({ volumeId }) => volumeId !== data);
    await expect(cloud.admin.call('compute', 'DELETE', `${path}/${root?.volumeId}`)).rejects.toMatchObject({
      status: 400,
    });
    await cloud.admin.call('compute', 'DELETE', `${path}/${data}`);
    await volumes.until(data, 'available');
    await expect.poll(async () => (await volumes.ofServer(id)).length).toBe(1);
    expect((await onNode(id)).volumes.map(({ volume_id }) => volume_id)).toEqual([root?.volumeId]);
    expect(await done(id)).toEqual(
      expect.arrayContaining([
        'attach_volume compute_attach_volume Success',
        'extend_volume compute_extend_volume Success',
        'detach_volume compute_detach_volume Success',
      ]),
    );
  });

  it('keep their bytes while it is shelved, and its volume gets an image’s where it is rebuilt', {
    timeout: livesMs,
  }, async () => {
    const bytes = randomBytes(CHECKED_BYTES);
    const { id: other } = await cloud.admin.call<{ id: string }>('image', 'POST', '/v2/images', {
      body: { name: 'other', disk_format: 'raw', container_format: 'bare' },
    });
    undo(() => cloud.admin.call('image', 'DELETE', `/v2/images/${other}`));
    await cloud.admin.call('image', 'PUT', `/v2/images/${other}/file`, { body: bytes });
    const port = await userPort('private');
    const id = await active({ networks: [{ port: port.id }] });
    const root = (await volumes.ofServer(id))[0]?.volumeId ?? '';
    const fresh = await volumes.checksum(root);
    await volumes.write(root, 4096, Buffer.from('what the guest wrote'));
    const written = await volumes.checksum(root);
    expect(written).not.toBe(fresh);

    await servers.act(id, { shelve: null });
    await servers.until(id, 'SHELVED_OFFLOADED');
    // as with nova-compute, the host goes after the state
    const offloaded = { 'OS-EXT-SRV-ATTR:host': null, 'OS-EXT-STS:vm_state': 'shelved_offloaded' };
    await expect.poll(() => servers.show(id)).toMatchObject(offloaded);
    expect(await volumes.show(root)).toMatchObject({ status: 'reserved' });
    expect(await showPort(port.id)).toMatchObject({ device_id: id });
    expect(
      (await cloud.admin.call<{ images: readonly unknown[] }>('image', 'GET', '/v2/images?name=vm-server-shelved'))
        .images,
    ).toEqual([]);
    await servers.act(id, { unshelve: null });
    expect(await servers.until(id, 'ACTIVE')).toMatchObject({
      'OS-EXT-SRV-ATTR:host': hostname,
      'OS-EXT-STS:power_state': 1,
      addresses: { private: [{ addr: port.fixed_ips[0]?.ip_address }] },
    });
    expect(await volumes.checksum(root)).toBe(written);

    await servers.act(id, { rebuild: { imageRef: cloud.image, name: 'anew' } });
    expect(await servers.until(id, 'ACTIVE')).toMatchObject({ name: 'anew', image: { id: cloud.image } });
    expect((await volumes.ofServer(id)).map(({ volumeId }) => volumeId)).toEqual([root]);
    expect(await volumes.checksum(root)).toBe(fresh);
    await servers.act(id, { rebuild: { imageRef: other } });
    const rebuilt = await servers.until(id, 'ACTIVE');
    expect(rebuilt).toMatchObject({ image: { id: other }, 'OS-EXT-STS:power_state': 1 });
    expect(await volumes.checksum(root)).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect((await onNode(id)).volumes.map(({ volume_id }) => volume_id)).toEqual([root]);
    expect(await done(id)).toEqual(
      expect.arrayContaining([
        'shelve compute_shelve_offload_instance Success',
        'unshelve compute_unshelve_instance Success',
        'rebuild compute_rebuild_instance Success',
      ]),
    );

    // deleted where it has no host
    await servers.act(id, { shelve: null });
    await servers.until(id, 'SHELVED_OFFLOADED');
    await servers.remove(id);
    await servers.untilGone(id);
    await expectNothingLeft(cloud, [port.id]);
  });

  it('are snapshots in its image, of which a server of the other kind boots', async () => {
    const id = await active({ networks: 'none' });
    const root = (await volumes.ofServer(id))[0]?.volumeId ?? '';
    await volumes.write(root, 4096, Buffer.from('what the guest wrote'));
    const { image_id: image } = await servers.act<{ image_id: string }>(id, { createImage: { name: 'snap' } });
    const { block_device_mapping: mapping } = await cloud.admin.call<{ block_device_mapping: string }>(
      'image',
      'GET',
      `/v2/images/${image}`,
    );
    const [{ snapshot_id: snapshot } = { snapshot_id: '' }] = JSON.parse(mapping) as readonly { snapshot_id: string }[];
    const look = async (): Promise<string> =>
      (await cloud.admin.call<{ snapshot: { status: string } }>('volumev3', 'GET', `/snapshots/${snapshot}`)).snapshot
        .status;
    await expect.poll(look).toBe('available');
    const copy = await active({ networks: 'none', imageRef: image }, name === 'bm' ? 'vm' : 'bm');
    const [attached, ...others] = await volumes.ofServer(copy);
    expect(others).toEqual([]);
    const copied = attached?.volumeId ?? '';
    expect(await volumes.show(copied)).toMatchObject({ status: 'in-use', bootable: 'true' });
    expect(await volumes.checksum(copied)).toBe(await volumes.checksum(root));
    await servers.remove(copy);
    await servers.untilGone(copy);
    if (attached?.delete_on_termination === false) {
      await volumes.until(copied, 'available');
      await cloud.admin.call('volumev3', 'DELETE', `/volumes/${copied}`);
    }
    await cloud.admin.call('image', 'DELETE', `/v2/images/${image}`);
    await cloud.admin.call('volumev3', 'DELETE', `/snapshots/${snapshot}`);
    await expect.poll(async () => await look().catch(() => 'gone')).toBe('gone');
  });

  it('are gone with a server in error, and with one that can’t be built', async () => {
    const id = await active();
    await servers.act(id, { 'os-resetState': { state: 'error' } });
    expect((await servers.show(id)).status).toBe('ERROR');
    await servers.remove(id);
    await servers.untilGone(id);
    await expectNothingLeft(cloud);
    // a volume that nobody can fill: Cinder's scheduler finds no place for it
    const unplaced = await servers.create(name, {
      networks: 'none',
      imageRef: undefined,
      block_device_mapping_v2: [
        { boot_index: 0, source_type: 'image', destination_type: 'volume', uuid: cloud.image, volume_size: 10_000_000 },
      ],
    });
    await expect(servers.until(unplaced, 'ACTIVE')).rejects.toThrow(/ERROR/);
  });
});
