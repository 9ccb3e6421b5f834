/** What servers boot from, and what becomes of it: volumes of all kinds, side by side and in order. */
import { describe, expect, it } from 'vitest';
import { restNode } from '../../tools/demo/node-client.ts';
import { expectNothingLeft } from './support/leaks.ts';
import { liveServers } from './support/live.ts';
import { NODES, type NodeName, PEER } from './support/nodes.ts';

const names: readonly NodeName[] = ['bm', 'vm'];

describe.skipIf(PEER !== 'ours')('what a server boots from', () => {
  const { cloud, servers, volumes, undo } = liveServers();

  const blockDevices = (devices: readonly object[]) => ({
    networks: 'none',
    imageRef: undefined,
    block_device_mapping_v2: devices,
  });
  const volume = (uuid: string, more: object = {}) => ({
    source_type: 'volume',
    destination_type: 'volume',
    boot_index: -1,
    uuid,
    ...more,
  });

  /** A flavor of this test for a node, with disks beside the root. */
  async function flavorWith(name: NodeName, disks: { readonly ephemeral: number; readonly swap: number }) {
    const spec = { name: `boot.${name}`, vcpus: 1, ram: 256, disk: 1, 'OS-FLV-EXT-DATA:ephemeral': disks.ephemeral };
    const { flavor } = await cloud.admin.call<{ flavor: { id: string } }>('compute', 'POST', '/flavors', {
      body: { flavor: { ...spec, swap: disks.swap } },
    });
    undo(() => cloud.admin.call('compute', 'DELETE', `/flavors/${flavor.id}`));
    const path = (id: string) => `/flavors/${id}/os-extra_specs`;
    const given = await cloud.admin.call('compute', 'GET', path(cloud.flavorFor(name)));
    const { extra_specs } = given as { extra_specs: Readonly<Record<string, string>> };
    if (Object.keys(extra_specs).length > 0)
      await cloud.admin.call('compute', 'POST', path(flavor.id), { body: { extra_specs } });
    return flavor.id;
  }

  async function snapshotOf(source: string): Promise<string> {
    const { snapshot } = await cloud.admin.call<{ snapshot: { id: string } }>('volumev3', 'POST', '/snapshots', {
      body: { snapshot: { volume_id: source, force: true } },
    });
    const status = async (): Promise<string> =>
      (await cloud.admin.call<{ snapshot: { status: string } }>('volumev3', 'GET', `/snapshots/${snapshot.id}`))
        .snapshot.status;
    undo(async () => {
      await cloud.admin.call('volumev3', 'DELETE', `/snapshots/${snapshot.id}`);
      await expect.poll(async () => await status().catch(() => 'gone')).toBe('gone');
    });
    await expect.poll(status).toBe('available');
    return snapshot.id;
  }

  it.each(names)('is each of its disks in order on the node %s; those that are its user’s stay', async (name) => {
    const root = await volumes.create(1, { imageRef: cloud.image });
    const data = await volumes.create(1);
    await volumes.write(data, 8192, Buffer.from('what somebody wrote'));
    const copy = await snapshotOf(data);
    const kept = { destination_type: 'volume', delete_on_termination: false };
    const id = await servers.create(name, {
      ...blockDevices([
        { source_type: 'blank', ...kept, boot_index: -1, volume_size: 2, delete_on_termination: true },
        { source_type: 'snapshot', ...kept, boot_index: 2, uuid: copy },
        volume(data, { boot_index: 1 }),
        volume(root, { boot_index: 0 }),
      ]),
      flavorRef: await flavorWith(name, { ephemeral: 3, swap: 512 }),
    });
    const server = await servers.until(id, 'ACTIVE');
    expect(server).toMatchObject({ image: '', 'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda' });
    const attached = await volumes.ofServer(id);
    const shown = await Promise.all(
      attached
        .toSorted((one, other) => one.device.localeCompare(other.device))
        .map(async ({ volumeId, device, delete_on_termination: goes }) => {
          const { size, status, attachments } = await volumes.show(volumeId);
          expect(attachments).toMatchObject([{ server_id: id, host_name: NODES[name].hostname, device }]);
          return { id: volumeId, device, size, status, goes };
        }),
    );
    const [vda, vdb, vdc, ...empty] = shown;
    expect([vda, vdb]).toMatchObject([
      { id: root, device: '/dev/vda', goes: false },
      { id: data, device: '/dev/vdb', goes: false },
    ]);
    undo(async () => {
      await volumes.until(vdc?.id ?? '', 'available');
      await cloud.admin.call('volumev3', 'DELETE', `/volumes/${vdc?.id}`);
    });
    expect(vdc).toMatchObject({ device: '/dev/vdc', size: 1, goes: false });
    expect(await volumes.checksum(vdc?.id ?? '')).toBe(await volumes.checksum(data));
    expect(empty.map(({ size, goes }) => `${size} ${goes}`).toSorted()).toEqual(['1 true', '2 true', '3 true']);
    expect(new Set(shown.map(({ device }) => device)).size).toBe(6);

    const here = await restNode(cloud.node(name).socket).instance(id);
    expect(here.volumes.map(({ volume_id: each }) => each).toSorted()).toEqual(shown.map((each) => each.id).toSorted());
    expect(here.volumes.filter(({ boot }) => boot).map(({ volume_id: each }) => each)).toEqual([root]);

    // neither another server nor this one again gets what is in use, and it stays what it is
    await expect(
      servers.create(name === 'bm' ? 'vm' : 'bm', blockDevices([volume(root, { boot_index: 0 })])),
    ).rejects.toMatchObject({ status: 400 });
    expect(await volumes.show(root)).toMatchObject({ status: 'in-use', attachments: [{ server_id: id }] });

    await servers.remove(id);
    await servers.untilGone(id);
    const left = [root, data, vdc?.id ?? ''];
    for (const each of left) await volumes.until(each, 'available');
    await expectNothingLeft(cloud, left);
  });

  it('is its user’s once it was taken off, although it was made for the server: it stays when that comes into error', async () => {
    const image = { boot_index: 0, source_type: 'image', destination_type: 'local', uuid: cloud.image };
    const made = { boot_index: -1, source_type: 'blank', destination_type: 'volume', volume_size: 1 };
    const goesToo = { ...made, delete_on_termination: true };
    const id = await servers.create('vm', { ...blockDevices([image, goesToo]), imageRef: cloud.image });
    await servers.until(id, 'ACTIVE');
    const [root, data] = (await volumes.ofServer(id)).toSorted((one, other) => one.device.localeCompare(other.device));
    const kept = data?.volumeId ?? '';
    await cloud.admin.call('compute', 'DELETE', `/servers/${id}/os-volume_attachments/${kept}`);
    await volumes.until(kept, 'available');
    undo(() => cloud.admin.call('volumev3', 'DELETE', `/volumes/${kept}`));
    await volumes.write(kept, 4096, Buffer.from('what its user keeps'));
    const checksum = await volumes.checksum(kept);
    await servers.act(id, { 'os-resetState': { state: 'error' } });
    await servers.remove(id);
    await servers.untilGone(id);
    expect(await volumes.show(kept)).toMatchObject({ status: 'available', attachments: [] });
    expect(await volumes.checksum(kept)).toBe(checksum);
    // its root went with it
    await expect(volumes.show(root?.volumeId ?? '')).rejects.toMatchObject({ status: 404 });
  });

  it('is not a volume that several servers may have: neither at a build nor later', async () => {
    const { volume_type: type } = await cloud.admin.call<{ volume_type: { id: string } }>(
      'volumev3',
      'POST',
      '/types',
      {
        body: {
          volume_type: { name: 'shared', extra_specs: { volume_backend_name: 'fake', multiattach: '<is> True' } },
        },
      },
    );
    const removeType = () => cloud.admin.call('volumev3', 'DELETE', `/types/${type.id}`);
    undo(async () => {
      await volumes.removeAll();
      // in use until the volume is really gone
      await expect.poll(async () => await removeType().then(() => 'gone', String)).toBe('gone');
    });
    const shared = await volumes.create(1, { volume_type: 'shared' });
    const image = { boot_index: 0, source_type: 'image', destination_type: 'local', uuid: cloud.image };
    const failed = await servers.create('vm', {
      ...blockDevices([image, volume(shared)]),
      imageRef: cloud.image,
    });
    await expect(servers.until(failed, 'ACTIVE')).rejects.toThrow("has 'multiattach' set, which is not supported");
    await servers.remove(failed);
    await servers.untilGone(failed);
    await volumes.until(shared, 'available');

    const id = await servers.create('vm', { networks: 'none' });
    await servers.until(id, 'ACTIVE');
    const body = { volumeAttachment: { volumeId: shared } };
    const path = `/servers/${id}/os-volume_attachments`;
    await expect(cloud.admin.call('compute', 'POST', path, { body })).rejects.toThrow();
    expect(await volumes.show(shared)).toMatchObject({ status: 'available', attachments: [] });
    expect(await volumes.ofServer(id)).toHaveLength(1);
    const trait = 'COMPUTE_VOLUME_MULTI_ATTACH';
    const { resource_providers: able } = await cloud.admin.call<{ resource_providers: readonly { name: string }[] }>(
      'placement',
      'GET',
      `/resource_providers?required=${trait}`,
    );
    expect(able).toEqual([]);
  });

  it('has no tags, of which its guest would not be told', async () => {
    const data = await volumes.create(1);
    const image = { boot_index: 0, source_type: 'image', destination_type: 'local', uuid: cloud.image };
    const tagged = await servers.create('vm', {
      ...blockDevices([image, volume(data, { tag: 'db' })]),
      imageRef: cloud.image,
    });
    await expect(servers.until(tagged, 'ACTIVE')).rejects.toThrow('not be told of tags');
    await servers.remove(tagged);
    await servers.untilGone(tagged);
    await volumes.until(data, 'available');
    const id = await servers.create('bm', { networks: 'none' });
    await servers.until(id, 'ACTIVE');
    const nic = { interfaceAttachment: { net_id: cloud.network('private'), tag: 'web' } };
    const disk = { volumeAttachment: { volumeId: data, tag: 'db' } };
    const refused = { status: 400 };
    const path = (what: string): string => `/servers/${id}/${what}`;
    await expect(cloud.admin.call('compute', 'POST', path('os-interface'), { body: nic })).rejects.toMatchObject(
      refused,
    );
    await expect(
      cloud.admin.call('compute', 'POST', path('os-volume_attachments'), { body: disk }),
    ).rejects.toMatchObject(refused);
    expect(await volumes.show(data)).toMatchObject({ status: 'available' });
  });

  it('is no image that is too large for the flavor or for the volume, and no volume that is none', async () => {
    const { id: large } = await cloud.admin.call<{ id: string }>('image', 'POST', '/v2/images', {
      body: { name: 'large', disk_format: 'raw', container_format: 'bare', min_disk: 5 },
    });
    undo(() => cloud.admin.call('image', 'DELETE', `/v2/images/${large}`));
    await cloud.admin.call('image', 'PUT', `/v2/images/${large}/file`, { body: Buffer.alloc(1024) });
    const refused = { status: 400 };
    for (const name of names) {
      await expect(servers.create(name, { networks: 'none', imageRef: large })).rejects.toMatchObject(refused);
      const small = { boot_index: 0, source_type: 'image', destination_type: 'volume', uuid: large, volume_size: 1 };
      await expect(servers.create(name, blockDevices([small]))).rejects.toMatchObject(refused);
      const none = volume('00000000-0000-4000-8000-000000000000', { boot_index: 0 });
      await expect(servers.create(name, blockDevices([none]))).rejects.toMatchObject(refused);
    }
    const empty = await volumes.create(1);
    await expect(servers.create('vm', blockDevices([volume(empty, { boot_index: 0 })]))).rejects.toMatchObject(refused);
  });
});
