/** What servers' users do to the guest from outside: rescue, passwords, consoles, what it is told. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { driveVolumeId } from '../../core/derived-ids.ts';
import { asId } from '../../core/units.ts';
import { restNode } from '../../tools/demo/node-client.ts';
import { until } from '../support/wait.ts';
import { liveServers } from './support/live.ts';
import { type NodeName, PEER } from './support/nodes.ts';

const names: readonly NodeName[] = ['bm', 'vm'];

describe.skipIf(PEER !== 'ours').each(names)('the guest of a server on the node %s', (name) => {
  const { cloud, servers, volumes } = liveServers();
  let rescueImage = '';

  beforeAll(async () => {
    const image = await cloud.admin.call<{ id: string }>('image', 'POST', '/v2/images', {
      body: {
        name: 'rescue',
        disk_format: 'raw',
        container_format: 'bare',
        hw_rescue_device: 'disk',
        hw_rescue_bus: 'virtio',
      },
    });
    rescueImage = image.id;
    await cloud.admin.call('image', 'PUT', `/v2/images/${rescueImage}/file`, { body: Buffer.alloc(1024 * 1024, 7) });
  });
  afterAll(async () => {
    if (rescueImage !== '') await cloud.admin.call('image', 'DELETE', `/v2/images/${rescueImage}`);
  });

  async function active(more: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const id = await servers.create(name, { networks: 'none', ...more });
    await servers.until(id, 'ACTIVE');
    return id;
  }

  it('is rescued from a volume of another image, and is itself again', async () => {
    const id = await active();
    const [own, ...others] = await volumes.attachmentsOf(id);
    expect(others).toEqual([]);
    await servers.act(id, { rescue: { rescue_image_ref: rescueImage, adminPass: 'rescue-me' } });
    const rescued = await servers.until(id, 'RESCUE');
    expect(rescued).toMatchObject({ 'OS-EXT-STS:vm_state': 'rescued', 'OS-EXT-STS:power_state': 1 });
    const during = await volumes.attachmentsOf(id);
    expect(during).toHaveLength(2);
    const volume = during.find((each) => each.id !== own?.id)?.volume_id ?? '';
    const { volume: made } = await cloud.admin.call<{ volume: { name: string; status: string } }>(
      'volumev3',
      'GET',
      `/volumes/${volume}`,
    );
    expect(made).toMatchObject({ name: `${id}-rescue`, status: 'in-use' });
    await servers.act(id, { unrescue: null });
    await servers.until(id, 'ACTIVE');
    expect(await volumes.attachmentsOf(id)).toEqual([own]);
    const events = (await servers.actions(id)).flatMap(({ events: each }) => each.map((e) => `${e.event} ${e.result}`));
    expect(events).toEqual(
      expect.arrayContaining(['compute_rescue_instance Success', 'compute_unrescue_instance Success']),
    );
  });

  it('leaves no rescue disk where it is deleted while it is rescued', async () => {
    const id = await active();
    await servers.act(id, { rescue: { rescue_image_ref: rescueImage } });
    await servers.until(id, 'RESCUE');
    await servers.remove(id);
    await servers.untilGone(id);
  });

  it('gets another password while it runs', async () => {
    const id = await active({ config_drive: true });
    await servers.act(id, { changePassword: { adminPass: 'another' } });
    expect((await servers.show(id))['OS-EXT-STS:task_state']).toBeNull();
    const action = (await servers.actions(id)).find(({ action: each }) => each === 'changePassword');
    expect(action).toMatchObject({
      message: null,
      events: [{ event: 'compute_set_admin_password', result: 'Success' }],
    });
  });

  it.runIf(name === 'bm')('gets no password where nothing would bring it to the guest', async () => {
    const id = await active();
    await expect(servers.act(id, { changePassword: { adminPass: 'another' } })).rejects.toMatchObject({ status: 409 });
    expect((await servers.until(id, 'ACTIVE'))['OS-EXT-STS:task_state']).toBeNull();
  });

  it('shows its serial console through nova’s proxy, and takes what is typed', async () => {
    const id = await active();
    const { remote_console: console } = await cloud.admin.call<{ remote_console: { url: string } }>(
      'compute',
      'POST',
      `/servers/${id}/remote-consoles`,
      { body: { remote_console: { protocol: 'serial', type: 'serial' } } },
    );
    const socket = new WebSocket(console.url, ['binary']);
    socket.binaryType = 'arraybuffer';
    let seen = '';
    socket.addEventListener('message', ({ data }) => {
      seen += Buffer.from(data as ArrayBuffer).toString('latin1');
    });
    try {
      await new Promise((resolve, reject) => {
        socket.addEventListener('open', resolve);
        socket.addEventListener('close', () => reject(new Error('the proxy closed the connection')));
      });
      // typed again until the proxy has reached the node
      await until('what is typed is echoed', async () => {
        socket.send(Buffer.from('who\r'));
        return seen.includes('who');
      });
    } finally {
      socket.close();
    }
    const { output } = await servers.act<{ output: string }>(id, { 'os-getConsoleOutput': { length: 5 } });
    expect(output).toContain('login');
    expect(output.split('\n').length).toBeLessThanOrEqual(6);
  });

  /** What the node's store has of the guest: user data and password by the ids of their sealed texts. */
  function told(id: string): { readonly userData: string | null; readonly password: string | null } {
    const store = new Database(join(cloud.node(name).stateDir, 'soc-daemon.db'), { readonly: true });
    try {
      const row = store.prepare('SELECT guest FROM instances WHERE id = ?').get(id) as { readonly guest: string };
      return JSON.parse(row.guest) as ReturnType<typeof told>;
    } finally {
      store.close();
    }
  }

  it('has a config drive with its packed user data and its password', async () => {
    const data = gzipSync('#cloud-config\n').toString('base64');
    const id = await active({ config_drive: true, user_data: data, adminPass: 'first-word' });
    expect(told(id)).toMatchObject({ userData: expect.any(String), password: expect.any(String) });
    expect(await servers.show(id)).toMatchObject({ config_drive: 'True' });
    const { volumes } = await restNode(cloud.node(name).socket).instance(id);
    expect(volumes.map(({ volume_id: volume }) => volume)).toContain(driveVolumeId(asId(id)));
  });

  it('is not built with user data that can’t be handed on, and the server says why', async () => {
    const id = await servers.create(name, {
      networks: 'none',
      user_data: Buffer.from([0xff, 0xfe, 1]).toString('base64'),
    });
    await expect(servers.until(id, 'ACTIVE')).rejects.toThrow('user data must be text');
  });

  it('is made into an image by snapshots of its volumes, and a backup is refused', async () => {
    const id = await active();
    const { image_id: image } = await servers.act<{ image_id: string }>(id, { createImage: { name: 'snap' } });
    const found = await cloud.admin.call<{ status: string; block_device_mapping: string }>(
      'image',
      'GET',
      `/v2/images/${image}`,
    );
    const [mapping] = JSON.parse(found.block_device_mapping) as readonly { snapshot_id: string }[];
    const snapshot = mapping?.snapshot_id ?? '';
    const look = async (): Promise<string> =>
      (await cloud.admin.call<{ snapshot: { status: string } }>('volumev3', 'GET', `/snapshots/${snapshot}`)).snapshot
        .status;
    await expect.poll(look).toBe('available');
    expect(found.status).toBe('active');
    expect((await servers.show(id))['OS-EXT-STS:task_state']).toBeNull();
    await expect(
      servers.act(id, { createBackup: { name: 'b', backup_type: 'daily', rotation: 1 } }),
    ).rejects.toMatchObject({ status: 400 });
    await cloud.admin.call('image', 'DELETE', `/v2/images/${image}`);
    await cloud.admin.call('volumev3', 'DELETE', `/snapshots/${snapshot}`);
    await expect.poll(async () => await look().catch(() => 'gone')).toBe('gone');
  });
});
