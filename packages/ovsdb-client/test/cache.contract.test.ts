import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, createClient, type Database, NoIndexError } from '../src/index.ts';
import { haveOvsdb, startServer, type TestServer } from './ovsdb-server.ts';
import { type Relay, startRelay } from './relay.ts';
import type { VSwitch } from './vswitch-tables.ts';

const fast = { baseMs: 5, maxMs: 50 };
const spec = {
  Bridge: { columns: ['name', 'ports', 'fail_mode', 'other_config'], indexes: ['name', 'ports', 'other_config:role'] },
  Port: { columns: ['name', 'tag', 'trunks', 'external_ids'], indexes: ['name', 'tag'] },
} as const;

describe.skipIf(!haveOvsdb()).each([{ clustered: false }, { clustered: true }])(
  'cache ($clustered)',
  ({ clustered }) => {
    let server: TestServer;
    let relay: Relay;
    let client: Client;
    let db: Database<VSwitch>;

    beforeEach(async () => {
      server = await startServer({ clustered });
      await server.vsctl('init');
      await server.vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'p1', '--', 'add-port', 'br0', 'p2', 'tag=5');
      relay = await startRelay(server.address);
      client = createClient({ address: relay.address, backoff: fast });
      db = client.database<VSwitch>('Open_vSwitch');
    });
    afterEach(async () => {
      await client.close();
      await relay.close();
      await server.stop();
    });

    /** The same as the server has, by an own query. */
    const expectSame = async (cache: Awaited<ReturnType<typeof monitor>>) => {
      const [bridges, ports] = await db.transact([
        { op: 'select', table: 'Bridge', where: [], columns: ['_uuid', 'name', 'ports', 'fail_mode', 'other_config'] },
        { op: 'select', table: 'Port', where: [], columns: ['_uuid', 'name', 'tag', 'trunks', 'external_ids'] },
      ]);
      const byId = (rows: Iterable<{ readonly _uuid: string }>) =>
        [...rows].sort((a, b) => (a._uuid < b._uuid ? -1 : 1));
      expect(byId(cache.table('Bridge').rows())).toEqual(byId(bridges.rows));
      expect(byId(cache.table('Port').rows())).toEqual(byId(ports.rows));
    };
    const monitor = () => db.monitor(spec);
    /** The server keeps no more history than it has data: gives it some, so that what is missed is still there. */
    const keepHistory = async () => {
      const padding = new Map(Array.from({ length: 2000 }, (_, i) => [`k${i}`, 'x'] as const));
      await db.transact([{ op: 'update', table: 'Open_vSwitch', where: [], row: { external_ids: padding } }]);
    };

    it('follows what ovs-vsctl does, event by event', async () => {
      const cache = await monitor();
      await expectSame(cache);
      const changes: string[] = [];
      cache.on('change', (change) => {
        changes.push(`${change.kind} ${change.table} ${(change.after ?? change.before).name}`);
      });
      const ports = cache.table('Port');
      await server.vsctl('add-port', 'br0', 'p3', 'trunks=1,2,3', 'external_ids:a=1', 'external_ids:b=2');
      await cache.until(() => ports.first('name', 'p3'));
      const before = ports.first('name', 'p3');
      await server.vsctl('set', 'Port', 'p3', 'trunks=3,4', 'tag=9', 'external_ids:b=3', 'external_ids:c=4');
      await cache.until(() => ports.first('tag', 9));
      await expectSame(cache);
      expect(before?.trunks).toEqual(new Set([1, 2, 3])); // what was read stays as it was
      await server.vsctl('clear', 'Port', 'p3', 'tag', '--', 'remove', 'Port', 'p3', 'external_ids', 'a');
      await cache.until(() => ports.first('name', 'p3')?.tag === null);
      await expectSame(cache);
      await server.vsctl('del-port', 'br0', 'p3');
      await cache.until(() => ports.find('name', 'p3').length === 0);
      await expectSame(cache);
      // Within one transaction there is no order.
      expect(changes.slice(0, 2).sort()).toEqual(['insert Port p3', 'modify Bridge br0']);
      expect(changes.slice(2, 4)).toEqual(['modify Port p3', 'modify Port p3']);
      expect(changes.slice(4).sort()).toEqual(['delete Port p3', 'modify Bridge br0']);
    });

    it('finds by column, by member of a set, and by key of a map', async () => {
      const cache = await monitor();
      await server.vsctl('set', 'Bridge', 'br0', 'other_config:role=access');
      const bridge = await cache.until(() => cache.table('Bridge').first('other_config:role', 'access'));
      expect(bridge.name).toBe('br0');
      const port = cache.table('Port').first('name', 'p2');
      expect(cache.table('Bridge').find('ports', port?._uuid ?? '')).toEqual([bridge]);
      expect(
        cache
          .table('Port')
          .find('tag', null)
          .map((row) => row.name)
          .sort(),
      ).toEqual(['br0', 'p1']);
      expect(cache.table('Bridge').find('other_config:role', 'core')).toEqual([]);
      expect(() => cache.table('Port').find('trunks' as never, 1)).toThrow(NoIndexError);
      await server.vsctl('set', 'Bridge', 'br0', 'other_config:role=core');
      await cache.until(() => cache.table('Bridge').first('other_config:role', 'core'));
      expect(cache.table('Bridge').find('other_config:role', 'access')).toEqual([]);
    });

    it('has a transaction of its own client when that settles', async () => {
      relay.pieces = 7;
      const cache = await monitor();
      for (let tag = 1; tag <= 20; tag++) {
        await db.transact([{ op: 'update', table: 'Port', where: [['name', '==', 'p1']], row: { tag } }]);
        expect(cache.table('Port').first('name', 'p1')?.tag).toBe(tag);
      }
    });

    it('keeps rows through a cut, and catches up', async () => {
      await keepHistory();
      const cache = await monitor();
      const synced: boolean[] = [];
      const reasons: string[] = [];
      cache.on('synced', ({ resumed }) => synced.push(resumed));
      cache.on('stale', ({ reason }) => reasons.push(reason));
      cache.on('update', ({ reason, changes }) => reasons.push(`${reason} ${changes.length}`));
      await server.vsctl('set', 'Port', 'p1', 'tag=1');
      await cache.until(() => cache.table('Port').first('tag', 1));
      const old = cache.table('Port').first('name', 'p2');
      reasons.length = 0;
      const gone = Promise.withResolvers<void>();
      cache.on('stale', () => gone.resolve());
      relay.cut();
      await gone.promise;
      expect(cache.state).toBe('stale');
      expect(cache.table('Port').size).toBe(3);
      await server.vsctl('set', 'Port', 'p1', 'tag=2', '--', 'del-port', 'p2', '--', 'add-port', 'br0', 'p4');
      await cache.until(() => cache.state === 'synced' && cache.table('Port').first('name', 'p4') !== undefined);
      await expectSame(cache);
      expect(old?.name).toBe('p2');
      expect(synced.at(-1)).toBe(clustered); // a standalone server tells no transaction ids
      expect(cache.lastTransaction === undefined).toBe(!clustered);
      const again = relay.seen.filter(({ method }) => method === 'monitor_cond_since').at(-1)?.params?.[3];
      expect(again === '00000000-0000-0000-0000-000000000000').toBe(!clustered);
    });

    it.each([false, true])('is right after the server was restarted (wiped: %s)', async (wipe) => {
      const cache = await monitor();
      const stale = Promise.withResolvers<void>();
      cache.on('stale', () => stale.resolve());
      await server.down();
      await stale.promise;
      expect(cache.table('Port').size).toBe(3);
      await server.up({ wipe });
      await server.vsctl('--may-exist', 'add-br', 'br9', '--', 'set', 'Port', 'br9', 'tag=3');
      await cache.until(() => cache.state === 'synced' && cache.table('Port').first('tag', 3));
      expect(cache.table('Port').find('name', 'p2')).toHaveLength(wipe ? 0 : 1);
      await expectSame(cache);
    });

    it('monitors some rows, then others, also when that changes without a connection', async () => {
      await keepHistory();
      const cache = await db.monitor({
        Port: { columns: ['name', 'tag'], where: [['tag', '==', 5]] },
        Bridge: { where: false },
      });
      const names = () => [...cache.table('Port').rows()].map((row) => row.name).sort();
      expect(names()).toEqual(['p2']);
      expect(cache.table('Bridge').size).toBe(0);
      await cache.setWhere('Port', [
        ['name', '==', 'p1'],
        ['name', '==', 'br0'],
      ]);
      expect(names()).toEqual(['br0', 'p1']);
      await server.vsctl('set', 'Port', 'p1', 'tag=1'); // gives a transaction to resume from, which must not be used
      await cache.until(() => [...cache.table('Port').rows()].some((row) => row.tag === 1));
      const stale = Promise.withResolvers<void>();
      cache.on('stale', () => stale.resolve());
      relay.cut();
      await stale.promise;
      await cache.setWhere('Port', [['tag', '==', 5]]);
      await cache.until(() => cache.state === 'synced');
      await cache.until(() => names().join() === 'p2');
      await cache.setWhere('Port', []);
      expect(names()).toEqual(['br0', 'p1', 'p2']);
    });

    it.each([
      ['monitor_cond', ['monitor_cond_since']],
      ['monitor', ['monitor_cond_since', 'monitor_cond']],
    ])('makes do with %s', async (method, unknown) => {
      for (const each of unknown) relay.unknown.add(each);
      const cache = await monitor();
      expect(cache.method).toBe(method);
      const some = await db.monitor({
        Port: {
          columns: ['name'],
          where: [
            ['tag', '==', 5],
            ['name', '==', 'p1'],
          ],
        },
      });
      const names = () =>
        [...some.table('Port').rows()]
          .map((row) => row.name)
          .sort()
          .join();
      await expectSame(cache);
      expect(names()).toBe('p1,p2');
      await server.vsctl('set', 'Port', 'p2', 'tag=6', 'trunks=1,2', '--', 'set', 'Port', 'br0', 'tag=5');
      await cache.until(() => cache.table('Port').first('tag', 5)?.name === 'br0');
      await some.until(() => names() === 'br0,p1');
      await expectSame(cache);
      await some.setWhere('Port', [['name', '==', 'p2']]);
      await some.until(() => names() === 'p2');
      relay.cut();
      await server.vsctl('del-port', 'p2');
      await cache.until(() => cache.state === 'synced' && cache.table('Port').find('name', 'p2').length === 0);
      await expectSame(cache);
    });

    it('says what the server will not monitor, and leaves nothing behind', async () => {
      const wrong = client.database('Open_vSwitch').monitor({ Nope: {} });
      await expect(wrong).rejects.toMatchObject({ code: 'encode' });
      await expect(client.database('Nope').monitor({ Port: {} })).rejects.toMatchObject({
        peerCode: 'unknown database',
      });
      const cache = await monitor();
      cache.close();
      await client.echo();
      expect(relay.seen.filter(({ method }) => method === 'monitor_cancel')).toHaveLength(1);
      await expect(cache.until(() => false)).rejects.toMatchObject({ code: 'closed' });
    });
  },
);

describe.skipIf(!haveOvsdb())('a database that goes away', () => {
  it('is monitored again when it is back', async () => {
    const server = await startServer();
    const client = createClient({ address: server.address, backoff: fast });
    try {
      await server.vsctl('init');
      const cache = await client.database<VSwitch>('Open_vSwitch').monitor({ Bridge: { indexes: ['name'] } });
      const reasons: string[] = [];
      cache.on('stale', ({ reason }) => reasons.push(reason));
      await server.appctl('ovsdb-server/remove-db', 'Open_vSwitch');
      await cache.until(() => cache.state === 'stale' || undefined, { timeoutMs: 1 }).catch(() => undefined);
      await server.appctl('ovsdb-server/add-db', `${server.dir}/conf.db`);
      await server.vsctl('add-br', 'br7');
      await cache.until(() => cache.table('Bridge').first('name', 'br7'));
      expect(reasons).toEqual(['cancelled']);
    } finally {
      await client.close();
      await server.stop();
    }
  });
});
