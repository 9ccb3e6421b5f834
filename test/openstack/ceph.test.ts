/**
 * A server whose disks are images in a real Ceph: it boots from one on a virtual DPU, is given a second, which is copied and extended under it. What the
 * guest writes is looked for in Ceph. Only with `WITH_CEPH=1`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writePrivately } from '../../tools/demo/layout.ts';
import { restNode } from '../../tools/demo/node-client.ts';
import { NAMES } from '../../tools/openstack/bootstrap.ts';
import { cephSecret } from '../../tools/openstack/ceph.ts';
import { RestError } from '../../tools/openstack/rest.ts';
import type { GuestConsole } from '../support/guest-console.ts';
import { canHaveVirtualDpus } from '../support/virtual-dpu.ts';
import { until } from '../support/wait.ts';
import { type CephImages, cephImages, type Range } from './support/ceph-images.ts';
import { type Cloud, openCloud } from './support/cloud.ts';
import { expectNothingLeft } from './support/leaks.ts';
import { type MetalNode, startMetalNode } from './support/metal-node.ts';
import { PEER } from './support/nodes.ts';
import { type Servers, serversOf } from './support/servers.ts';
import { type Volumes, volumesOf } from './support/volumes.ts';

/** Of its own each time: nova goes by a deleted service of the same name, too, and so refuses to detach from a host that came back. */
const HOST = `bm-${randomUUID().slice(0, 8)}`;
const NAME = 'web-1';
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** What the guest writes to, first in a volume of one GiB, then behind that. */
const WRITTEN: Range = { offset: 8 * MIB, bytes: MIB };
const BEHIND: Range = { offset: GIB + 8 * MIB, bytes: MIB };

/** Where it writes after a crash, behind all that is in the image; MiB. */
const AFTER = 64;

const wanted =
  process.env.WITH_CEPH === '1' && PEER === 'ours' && canHaveVirtualDpus('a server on Ceph', { ovn: true });

describe.runIf(wanted)('a server with disks in Ceph', { timeout: 300_000 }, () => {
  let cloud: Cloud;
  let servers: Servers;
  let volumes: Volumes;
  let images: CephImages;
  let metal: MetalNode | undefined;
  let guest: GuestConsole;
  let secret: { readonly fsid: string; readonly key: string };
  let image = '';
  let server = '';
  let root = '';
  let data = '';
  let broken = false;
  const undo: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    cloud = await openCloud();
    servers = serversOf(cloud);
    volumes = volumesOf(cloud);
    const { layout } = cloud.stack;
    images = cephImages(layout);
    undo.push(emptyPool);
    secret = await cephSecret(layout);
    const keyFile = join(layout.dir, 'etc/node-ceph.key');
    await mkdir(join(layout.dir, 'etc'), { recursive: true });
    await writePrivately(keyFile, `${secret.key}\n`);
    metal = await startMetalNode({
      stack: cloud.stack,
      hostname: HOST,
      storage: { ceph_keys: { [secret.fsid]: keyFile } },
    });
    const { end, console } = metal;
    undo.push(end);
    guest = await console();
    image = await upload(metal.image);
    undo.push(() => cloud.admin.call('image', 'DELETE', `/v2/images/${image}`), removeServers);
    expect(await images.list()).toEqual([]);
  }, 300_000);
  beforeEach(({ skip }) => {
    if (broken) skip('an earlier part of its life failed');
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') broken = true;
  });
  afterAll(async () => {
    guest?.close();
    // all of it, whatever fails: the control plane may be kept
    const left: unknown[] = [];
    for (const each of undo.reverse()) await each().catch((error: unknown) => left.push(error));
    expect(left).toEqual([]);
  }, 240_000);

  /** The client may have failed after it asked for one. */
  async function removeServers(): Promise<void> {
    const path = `/servers?all_tenants=1&name=${NAME}`;
    const { servers: there } = await cloud.admin.call<{ servers: readonly { id: string }[] }>('compute', 'GET', path);
    for (const { id } of there) {
      await servers.remove(id);
      await servers.untilGone(id);
    }
  }

  /** Volumes and snapshots that a failure left; one keeps the other until it is gone. */
  async function emptyPool(): Promise<void> {
    const ask = async (method: string, path: string): Promise<{ snapshots?: readonly { id: string }[] }> =>
      await cloud.admin.call<object>('volumev3', method, path).catch((error: unknown) => {
        if (error instanceof RestError) return {}; // not yet
        throw error;
      });
    const isEmpty = async (): Promise<boolean> => {
      const left = (await images.list()).map((name) => name.replace(/^volume-/, ''));
      for (const volume of left) {
        const { snapshots = [] } = await ask('GET', `/snapshots?volume_id=${volume}`);
        for (const { id } of snapshots) await ask('DELETE', `/snapshots/${id}`);
        await ask('DELETE', `/volumes/${volume}`);
      }
      return left.length === 0;
    };
    await until('Ceph holds no image', isEmpty, 60_000);
  }

  async function upload(file: string): Promise<string> {
    const { id } = await cloud.admin.call<{ id: string }>('image', 'POST', '/v2/images', {
      body: { name: 'guest', disk_format: 'raw', container_format: 'bare' },
    });
    await cloud.admin.call('image', 'PUT', `/v2/images/${id}/file`, { body: await readFile(file) });
    return id;
  }

  const node = (): MetalNode => {
    if (metal === undefined) throw new Error('there is no node');
    return metal;
  };

  /** A volume's disk in the guest, by its PCIe address: name and bytes. */
  async function diskOf(volume: string): Promise<{ readonly name: string; readonly bytes: number }> {
    const { volumes: attached } = await restNode(node().node.socket).instance(server);
    const { bdf } = attached.find(({ volume_id }) => volume_id === volume) ?? {};
    const lines = (await guest.run('facts')).split('\n').map((line) => line.split(' '));
    const [, name = '', , bytes] = lines.find(([kind, , at]) => kind === 'disk' && at === bdf) ?? [];
    if (name === '') throw new Error(`the guest has no disk at ${bdf}`);
    return { name, bytes: Number(bytes) };
  }

  /** Has the guest fill a part of a disk with a word; answers the MD5 of it. */
  async function fill(disk: string, { offset, bytes }: Range, word: string): Promise<string> {
    await guest.run(`yes ${word} | head -c ${bytes} >/tmp/bytes`);
    await guest.run(`dd if=/tmp/bytes of=/dev/${disk} bs=1M seek=${offset / MIB} conv=fsync 2>/dev/null`);
    return (await guest.run('md5sum </tmp/bytes')).split(' ')[0] ?? '';
  }

  /** The MD5 of a part of a disk as the guest reads it from there. */
  async function readBack(disk: string, { offset, bytes }: Range): Promise<string> {
    await guest.run('echo 3 >/proc/sys/vm/drop_caches');
    const read = `dd if=/dev/${disk} bs=1M skip=${offset / MIB} count=${bytes / MIB} 2>/dev/null | md5sum`;
    return (await guest.run(read)).split(' ')[0] ?? '';
  }

  async function add(volume: string): Promise<void> {
    await cloud.client('server', 'add', 'volume', server, volume);
    await guest.expect(/^guest: disk vd\w+ added$/m);
    await volumes.until(volume, 'in-use');
  }

  async function remove(volume: string): Promise<void> {
    await cloud.admin.call('compute', 'DELETE', `/servers/${server}/os-volume_attachments/${volume}`);
    await guest.expect(/^guest: disk vd\w+ removed$/m);
    await volumes.until(volume, 'available');
    expect(await images.users(volume)).toEqual({ watchers: 0, locks: 0 });
  }

  it('boots from a volume that was made of an image, to a login with its address', async () => {
    root = await volumes.create(1, { name: 'root', volume_type: 'ceph', imageRef: image });
    expect(await images.list()).toEqual([`volume-${root}`]);
    const bytes = await readFile(node().image);
    const md5 = createHash('md5').update(bytes).digest('hex');
    expect(await images.md5(root, { offset: 0, bytes: bytes.length })).toBe(md5);
    const flavor = ['--flavor', NAMES.flavors.metal, '--host', HOST];
    const disks = ['--volume', root, '--config-drive', 'True'];
    const made = await cloud.client<{ id: string; adminPass: string }>(
      ...['server', 'create', ...flavor, ...disks, '--network', 'private', '--wait', NAME],
    );
    server = made.id;
    expect(await servers.until(server, 'ACTIVE')).toMatchObject({ 'OS-EXT-SRV-ATTR:host': HOST });
    await guest.expect(`${NAME} login: `);
    guest.send('\n');
    await guest.login({ password: made.adminPass });
    expect((await diskOf(root)).bytes).toBe(GIB);
    expect((await images.users(root)).watchers).toBe(1);
    const [port] = await servers.ports(server);
    expect(port).toMatchObject({ status: 'ACTIVE', 'binding:host_id': HOST });
    expect(await guest.run('facts')).toContain(` ${port?.mac_address} ${port?.fixed_ips[0]?.ip_address}/`);
    const { output } = await servers.act<{ output: string }>(server, { 'os-getConsoleOutput': {} });
    expect(output).toContain(`${NAME} login: `);
  });

  it('is given another while it runs, which holds what the guest writes', async () => {
    data = await volumes.create(1, { volume_type: 'ceph' });
    await add(data);
    const { name, bytes } = await diskOf(data);
    expect(bytes).toBe(GIB);
    const md5 = await fill(name, WRITTEN, 'first');
    expect(await images.md5(data, WRITTEN)).toBe(md5);
    expect(await images.users(data)).toEqual({ watchers: 1, locks: 1 });
  });

  it('is copied as it was, under a guest that writes on', async () => {
    const { name } = await diskOf(data);
    const before = await fill(name, WRITTEN, 'before');
    const { snapshot } = await cloud.admin.call<{ snapshot: { id: string } }>('volumev3', 'POST', '/snapshots', {
      body: { snapshot: { volume_id: data, force: true } },
    });
    await expect.poll(async () => await snapshotStatus(snapshot.id)).toBe('available');
    const after = await fill(name, WRITTEN, 'after');
    expect(after).not.toBe(before);
    expect(await images.snapshots(data)).toEqual([`snapshot-${snapshot.id}`]);
    expect(await images.md5(data, WRITTEN, snapshot.id)).toBe(before);
    expect(await images.md5(data, WRITTEN)).toBe(after);

    const copy = await volumes.create(1, { volume_type: 'ceph', snapshot_id: snapshot.id });
    await add(copy);
    const again = await diskOf(copy);
    expect(await readBack(again.name, WRITTEN)).toBe(before);
    const own = await fill(again.name, WRITTEN, 'copy');
    expect(await images.md5(copy, WRITTEN)).toBe(own);
    expect(await images.md5(data, WRITTEN, snapshot.id)).toBe(before);
    expect(await readBack(name, WRITTEN)).toBe(after);
    await remove(copy);
    await cloud.admin.call('volumev3', 'DELETE', `/volumes/${copy}`);
    await expect.poll(() => images.list()).toHaveLength(2);
    await cloud.admin.call('volumev3', 'DELETE', `/snapshots/${snapshot.id}`);
    await expect.poll(() => images.snapshots(data)).toEqual([]);
  });

  async function snapshotStatus(id: string): Promise<string> {
    const path = `/snapshots/${id}`;
    return (await cloud.admin.call<{ snapshot: { status: string } }>('volumev3', 'GET', path)).snapshot.status;
  }

  it('is extended, and the guest writes behind its old end', async () => {
    const { name } = await diskOf(data);
    await volumes.act(data, { 'os-extend': { new_size: 2 } });
    await guest.expect(new RegExp(`^guest: disk ${name} resized$`, 'm'));
    expect((await volumes.until(data, 'in-use')).size).toBe(2);
    expect(await diskOf(data)).toEqual({ name, bytes: 2 * GIB });
    expect(await images.size(data)).toBe(2 * GIB);
    const md5 = await fill(name, BEHIND, 'behind');
    expect(await images.md5(data, BEHIND)).toBe(md5);
    await expect
      .poll(async () => (await servers.actions(server)).map(({ action }) => action))
      .toContain('extend_volume');
  });

  it('is served again after the daemon and the storage target were killed', async () => {
    const { name } = await diskOf(data);
    const { name: boot } = await diskOf(root);
    await node().crash();
    await guest.run(`yes again | head -c ${MIB} >/tmp/bytes`);
    // what the dead one had locked is waited for, some 30 s
    const writes = [name, boot].map((disk) => `dd if=/tmp/bytes of=/dev/${disk} bs=1M seek=${AFTER} conv=fsync`);
    await guest.run(`(${writes.join(' & ')}; wait) 2>/dev/null`, 120_000);
    const range = { offset: AFTER * MIB, bytes: MIB };
    const md5 = createHash('md5').update(Buffer.alloc(MIB, 'again\n')).digest('hex');
    for (const volume of [root, data]) {
      expect(await images.md5(volume, range)).toBe(md5);
      expect(await images.users(volume)).toEqual({ watchers: 1, locks: 1 });
    }
  });

  it('shows the key to nobody: no arguments, no log, no file but the one that the operator wrote', async () => {
    const lines = await Promise.all(
      (await readdir('/proc'))
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')), // it has ended
    );
    expect(lines.filter((line) => line.includes(secret.key))).toEqual([]);
    const { layout, programs } = cloud.stack;
    expect(await filesWith(secret.key, node().dir)).toEqual([]);
    const log = await readFile(programs.logFile(`node-${HOST}`), 'utf8');
    expect(log).not.toBe('');
    expect(log).not.toContain(secret.key);
    expect(await filesWith(secret.key, join(layout.dir, 'etc'))).toEqual(['node-ceph.key']);
  });

  async function filesWith(text: string, dir: string): Promise<readonly string[]> {
    const files = await readdir(dir, { recursive: true, withFileTypes: true });
    const small = files.filter((file) => file.isFile() && !/\.(img|qcow2|lvols)$/.test(file.name));
    const found: string[] = [];
    for (const { name, parentPath } of small) {
      if ((await readFile(join(parentPath, name))).includes(text)) found.push(name);
    }
    return found;
  }

  it('gives them back, and nothing is left', async () => {
    await remove(data);
    expect(await images.md5(data, WRITTEN)).not.toBe('');
    expect((await node().leaks()).length).toBeGreaterThan(3); // what is looked for can be seen
    await servers.remove(server);
    await servers.untilGone(server);
    for (const volume of [root, data]) {
      await volumes.until(volume, 'available');
      expect(await images.users(volume)).toEqual({ watchers: 0, locks: 0 });
    }
    await volumes.removeAll();
    await expectNothingLeft(cloud);
    await expect.poll(() => node().leaks()).toEqual([]);
    await expect.poll(() => images.list()).toEqual([]);
  });
});
