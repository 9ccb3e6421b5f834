import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectQmp, type QmpClient } from '../src/client.ts';
import { CommandNotFoundError, GenericError } from '../src/errors.ts';
import { havePeer, type Peer, startStorageDaemon } from './peers.ts';

describe.skipIf(!havePeer('qemu-storage-daemon'))('qemu-storage-daemon', () => {
  let peer: Peer;
  let qmp: QmpClient;
  beforeEach(async () => {
    peer = await startStorageDaemon();
    qmp = await connectQmp({ path: peer.monitors[0] });
  });
  afterEach(async () => {
    qmp.close();
    await peer.stop();
  });

  const nodes = async () =>
    (await qmp.execute('query-named-block-nodes', { flat: true })).map((each) => each['node-name']);

  it('has block commands and no machine', async () => {
    await expect(qmp.execute('query-status')).rejects.toBeInstanceOf(CommandNotFoundError);
    expect(await qmp.execute('query-block-exports')).toEqual([]);
  });

  it('adds, resizes, reopens, exports and removes a node', async () => {
    const filename = path.join(peer.dir, 'disk.img');
    await writeFile(filename, Buffer.alloc(1024 * 1024));
    const file = { driver: 'file', 'node-name': 'f0', filename };
    await qmp.execute('blockdev-add', file);
    await qmp.execute('blockdev-add', { driver: 'raw', 'node-name': 'vol', file: 'f0' });
    await qmp.execute('block_resize', { 'node-name': 'vol', size: 2 * 1024 * 1024 });
    const [vol] = (await qmp.execute('query-named-block-nodes', { flat: true })).filter(
      (each) => each['node-name'] === 'vol',
    );
    expect(vol).toMatchObject({ ro: false, image: { 'virtual-size': 2 * 1024 * 1024 } });
    await qmp.execute('blockdev-reopen', {
      options: [{ driver: 'raw', 'node-name': 'vol', file: 'f0', 'read-only': true }],
    });
    const socket = { type: 'unix', data: { path: path.join(peer.dir, 'nbd.sock') } } as const;
    await qmp.execute('nbd-server-start', { addr: socket });
    await qmp.execute('block-export-add', { type: 'nbd', id: 'e0', 'node-name': 'vol', name: 'vol' });
    expect(await qmp.execute('query-block-exports')).toMatchObject([
      { id: 'e0', type: 'nbd', 'node-name': 'vol', 'shutting-down': false },
    ]);
    await expect(qmp.execute('blockdev-del', { 'node-name': 'vol' })).rejects.toBeInstanceOf(GenericError);
    const deleted = qmp.waitForEvent('BLOCK_EXPORT_DELETED', { match: ({ id }) => id === 'e0' });
    await qmp.execute('block-export-del', { id: 'e0' });
    await deleted;
    await qmp.execute('nbd-server-stop');
    await qmp.execute('blockdev-del', { 'node-name': 'vol' });
    await qmp.execute('blockdev-del', { 'node-name': 'f0' });
    expect(await nodes()).toEqual([]);
  });

  it('limits a node by an object that can be changed', async () => {
    await qmp.execute('blockdev-add', { driver: 'null-co', 'node-name': 'n0', size: 1024 * 1024 });
    await qmp.execute('object-add', { 'qom-type': 'throttle-group', id: 'tg0', limits: {} });
    await qmp.execute('blockdev-add', { driver: 'throttle', 'node-name': 't0', 'throttle-group': 'tg0', file: 'n0' });
    const limits = { path: '/objects/tg0', property: 'limits' };
    await qmp.execute('qom-set', { ...limits, value: { 'bps-total': 2_097_152 } });
    expect(await qmp.execute('qom-get', limits)).toMatchObject({ 'bps-total': 2_097_152 });
    await expect(qmp.execute('object-del', { id: 'tg0' })).rejects.toBeInstanceOf(GenericError);
  });

  it('serves two clients on two monitors, who see each other’s nodes', async () => {
    const other = await connectQmp({ path: peer.monitors[1] });
    try {
      await other.execute('blockdev-add', { driver: 'null-co', 'node-name': 'theirs', size: 4096 });
      expect(await nodes()).toEqual(['theirs']);
    } finally {
      other.close();
    }
  });
});
