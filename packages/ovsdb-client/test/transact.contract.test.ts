import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Client,
  ConflictError,
  createClient,
  type Database,
  DeadlineError,
  EncodeError,
  namedUuid,
  OperationError,
  RequestError,
  uuid,
} from '../src/index.ts';
import { haveOvsdb, startServer, type TestServer } from './ovsdb-server.ts';
import type { VSwitch } from './vswitch-tables.ts';

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => error,
  );

describe.skipIf(!haveOvsdb())('transact', () => {
  let server: TestServer;
  let client: Client;
  let db: Database<VSwitch>;

  beforeAll(async () => {
    server = await startServer();
    await server.vsctl('init');
  });
  afterAll(() => server?.stop());
  beforeEach(() => {
    client = createClient({ address: server.address });
    db = client.database<VSwitch>('Open_vSwitch');
  });
  afterEach(async () => {
    await client.close();
    await server.vsctl('emer-reset', '--', '--if-exists', 'del-br', 'br0');
  });

  const addBridge = () =>
    db.transact([
      {
        op: 'insert',
        table: 'Bridge',
        row: { name: 'br0', ports: [namedUuid('p')], fail_mode: 'secure', other_config: { a: '1' } },
        uuidName: 'b',
      },
      { op: 'insert', table: 'Port', row: { name: 'p0', interfaces: [namedUuid('i')], trunks: [1, 2] }, uuidName: 'p' },
      { op: 'insert', table: 'Interface', row: { name: 'p0', type: 'internal' }, uuidName: 'i' },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', namedUuid('b')]] },
      { op: 'comment', comment: 'a bridge' },
      { op: 'commit', durable: true },
    ]);

  it('lists databases, reads the schema, and asks who the server is', async () => {
    expect(await client.listDbs()).toContain('Open_vSwitch');
    expect((await client.getSchema('Open_vSwitch')).tables.has('Bridge')).toBe(true);
    expect(await client.getServerId()).toMatch(/^[0-9a-f-]{36}$/);
    await client.echo();
    expect(await failure(client.getSchema('Nope'))).toMatchObject({ code: 'request', peerCode: 'unknown database' });
  });

  it('inserts rows that refer to each other, and reads them as JavaScript values', async () => {
    const [bridge, port, , count, comment] = await addBridge();
    expect(count).toEqual({ count: 1 });
    expect(comment).toEqual({});
    const [{ rows }, all] = await db.transact([
      {
        op: 'select',
        table: 'Bridge',
        where: [['name', '==', 'br0']],
        columns: ['_uuid', 'name', 'ports', 'fail_mode', 'other_config', 'external_ids'],
      },
      { op: 'select', table: 'Port', where: [['_uuid', '==', port.uuid]] },
    ]);
    expect(rows).toEqual([
      {
        _uuid: bridge.uuid,
        name: 'br0',
        ports: new Set([port.uuid]),
        fail_mode: 'secure',
        other_config: new Map([['a', '1']]),
        external_ids: new Map(),
      },
    ]);
    expect(all.rows[0]).toMatchObject({ tag: null, trunks: new Set([1, 2]), _version: expect.any(String) });
    expect((await server.vsctl('get', 'Bridge', 'br0', 'fail_mode', 'other_config')).trim()).toBe('secure\n{a="1"}');
  });

  it('updates, unsets, mutates and deletes', async () => {
    const [, port] = await addBridge();
    const at = [['_uuid', '==', port.uuid]] as const;
    const results = await db.transact([
      { op: 'update', table: 'Port', where: at, row: { tag: 5, external_ids: { owner: 'me', x: 'y' } } },
      {
        op: 'mutate',
        table: 'Port',
        where: [['tag', '==', 5]],
        mutations: [
          ['tag', '*=', 3],
          ['trunks', 'insert', [7]],
          ['trunks', 'delete', 1],
          ['external_ids', 'delete', ['x']],
          ['external_ids', 'insert', new Map([['z', 'q']])],
        ],
      },
      { op: 'select', table: 'Port', where: [['trunks', 'includes', 7]], columns: ['tag', 'trunks', 'external_ids'] },
      { op: 'update', table: 'Port', where: [['external_ids', 'includes', { z: 'q' }]], row: { tag: null } },
      { op: 'select', table: 'Port', where: [['tag', '==', null]], columns: ['tag'] },
      { op: 'delete', table: 'Port', where: [['name', '==', 'nobody']] },
    ]);
    expect(results).toEqual([
      { count: 1 },
      { count: 1 },
      {
        rows: [
          {
            tag: 15,
            trunks: new Set([2, 7]),
            external_ids: new Map([
              ['owner', 'me'],
              ['z', 'q'],
            ]),
          },
        ],
      },
      { count: 1 },
      { rows: [{ tag: null }] },
      { count: 0 },
    ]);
  });

  it('writes maps with keys that are not text', async () => {
    const [, , { rows }] = await db.transact([
      { op: 'insert', table: 'Queue', row: { dscp: 3 }, uuidName: 'q' },
      { op: 'insert', table: 'QoS', row: { type: 'linux-htb', queues: { 7: namedUuid('q') } } },
      { op: 'select', table: 'QoS', where: [], columns: ['queues'] },
    ]);
    expect([...(rows[0]?.queues.keys() ?? [])]).toEqual([7]);
    await db.transact([
      { op: 'delete', table: 'QoS', where: [] },
      { op: 'delete', table: 'Queue', where: [] },
    ]);
  });

  it('inserts under an identity of our own', async () => {
    const id = uuid('6F0A3C52-63B4-4B0E-8D8A-6B0A4C4B9D11');
    const [queue] = await db.transact([{ op: 'insert', table: 'Queue', row: {}, uuid: id }]);
    expect(queue.uuid).toBe('6f0a3c52-63b4-4b0e-8d8a-6b0a4c4b9d11');
    const again = await failure(db.transact([{ op: 'insert', table: 'Queue', row: {}, uuid: id }]));
    expect(again).toMatchObject({ peerCode: 'duplicate uuid', index: 0, operation: 'insert' });
    await db.transact([{ op: 'delete', table: 'Queue', where: [] }]);
  });

  it('tells which operation failed, and does nothing then', async () => {
    await addBridge();
    const set = { op: 'update', table: 'Open_vSwitch', where: [], row: { ovs_version: 'x' } } as const;
    const of = (...more: Parameters<typeof db.transact>[0]) => failure(db.transact([set, ...more]));
    expect(await of({ op: 'abort' })).toMatchObject({
      code: 'operation',
      peerCode: 'aborted',
      index: 1,
      operation: 'abort',
    });
    expect(await of({ op: 'assert', lock: 'not_ours' })).toMatchObject({ peerCode: 'not owner', operation: 'assert' });
    const constraint = await of({ op: 'update', table: 'Port', where: [], row: { tag: 5000 } });
    expect(constraint).toMatchObject({ peerCode: 'constraint violation', index: 1, details: expect.any(String) });
    const commit = await of({ op: 'insert', table: 'Open_vSwitch', row: {} });
    expect(commit).toMatchObject({ peerCode: 'constraint violation', index: 2, operation: 'commit' });
    const wait = { op: 'wait', table: 'Bridge', where: [], columns: ['name'], until: '==', timeout: 0 } as const;
    expect(await of({ ...wait, rows: [{ name: 'other' }] })).toMatchObject({ peerCode: 'timed out', index: 1 });
    expect(await of({ ...wait, rows: [{ name: 'br0' }] }, { op: 'abort' })).toMatchObject({ index: 2 });
    expect((await server.vsctl('get', 'Open_vSwitch', '.', 'ovs_version')).trim()).toBe('[]');
  });

  it('refuses what does not fit the schema before it is sent', async () => {
    const untyped = client.database('Open_vSwitch');
    for (const row of [{ name: 5 }, { nonsense: 1 }, { tag: 'x' }, { trunks: { a: 1 } }]) {
      const attempt = untyped.transact([{ op: 'insert', table: 'Port', row }] as never);
      expect(await failure(attempt)).toBeInstanceOf(EncodeError);
    }
    expect(await failure(untyped.transact([{ op: 'delete', table: 'Nope', where: [] }]))).toBeInstanceOf(EncodeError);
    expect(await failure(client.database('Nope').transact([]))).toBeInstanceOf(RequestError);
  });

  it('knows its tables at compile time', () => {
    const check = () =>
      db.transact([
        // @ts-expect-error no such column
        { op: 'insert', table: 'Port', row: { nonsense: 1 } },
        // @ts-expect-error not one of the listed values
        { op: 'update', table: 'Bridge', where: [], row: { fail_mode: 'maybe' } },
        // @ts-expect-error text where a number belongs
        { op: 'delete', table: 'Port', where: [['tag', '==', 'x']] },
      ]);
    expect(check).toBeTypeOf('function');
  });

  it('waits until another client has done its part', async () => {
    await addBridge();
    const waiting = db.transact([
      {
        op: 'wait',
        table: 'Bridge',
        where: [['name', '==', 'br0']],
        columns: ['stp_enable'],
        until: '==',
        rows: [{ stp_enable: true }],
      },
      { op: 'select', table: 'Bridge', where: [['name', '==', 'br0']], columns: ['stp_enable'] },
    ]);
    await client.echo(); // the server has read the wait
    await server.vsctl('set', 'Bridge', 'br0', 'stp_enable=true');
    expect((await waiting)[1].rows).toEqual([{ stp_enable: true }]);
  });

  it('cancels a transaction at the deadline and on abort', async () => {
    await addBridge();
    const forever = () =>
      [
        {
          op: 'wait',
          table: 'Bridge',
          where: [],
          columns: ['datapath_type'],
          until: '==',
          rows: [{ datapath_type: 'never' }],
        },
        { op: 'update', table: 'Bridge', where: [], row: { stp_enable: true } },
      ] as const;
    expect(await failure(db.transact(forever(), { timeoutMs: 30 }))).toBeInstanceOf(DeadlineError);
    const abort = new AbortController();
    const aborted = failure(db.transact(forever(), { signal: abort.signal }));
    await client.echo();
    abort.abort(new Error('enough'));
    expect(await aborted).toMatchObject({ message: 'enough' });
    await client.echo(); // the cancel has been read
    await server.vsctl('set', 'Bridge', 'br0', 'datapath_type=never'); // what the waits waited for
    expect((await server.vsctl('get', 'Bridge', 'br0', 'stp_enable')).trim()).toBe('false');
  });

  describe('readModifyWrite', () => {
    const where = [['name', '==', 'p0']] as const;
    const add = (key: string, onRead: (attempt: number) => Promise<unknown>, maxAttempts?: number) => {
      let attempt = 0;
      return db.readModifyWrite({
        table: 'Port',
        where,
        columns: ['external_ids'],
        ...(maxAttempts === undefined ? {} : { maxAttempts }),
        change: async ([row]) => {
          attempt += 1;
          await onRead(attempt);
          const external_ids = new Map([...(row?.external_ids ?? []), [key, 'x']]);
          return [{ op: 'update', table: 'Port', where, row: { external_ids } }];
        },
      });
    };

    it('loses no write of many at once', async () => {
      await addBridge();
      await using other = createClient({ address: server.address });
      const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
      const changes = keys.map((key, i) =>
        (i % 2 === 0 ? db : other.database<VSwitch>('Open_vSwitch')).readModifyWrite({
          table: 'Port',
          where,
          columns: ['external_ids'],
          maxAttempts: 50,
          change: ([row]) => [
            {
              op: 'update',
              table: 'Port',
              where,
              row: { external_ids: new Map([...(row?.external_ids ?? []), [key, 'x']]) },
            },
          ],
        }),
      );
      expect(await Promise.all(changes)).toEqual(keys.map(() => [{ count: 1 }]));
      const [{ rows }] = await db.transact([{ op: 'select', table: 'Port', where, columns: ['external_ids'] }]);
      expect([...(rows[0]?.external_ids.keys() ?? [])].sort()).toEqual(keys);
    });

    it('reads again when somebody was faster', async () => {
      await addBridge();
      const attempts: number[] = [];
      await add('a', async (attempt) => {
        attempts.push(attempt);
        if (attempt === 1) await server.vsctl('set', 'Port', 'p0', 'external_ids:other=1');
      });
      expect(attempts).toEqual([1, 2]);
      expect((await server.vsctl('get', 'Port', 'p0', 'external_ids')).trim()).toBe('{a=x, other="1"}');
    });

    it('gives up after the attempts it was given', async () => {
      await addBridge();
      const busy = (attempt: number) => server.vsctl('set', 'Port', 'p0', `external_ids:n=${attempt}`);
      const error = await failure(add('a', busy, 2));
      expect(error).toBeInstanceOf(ConflictError);
      expect(error).toMatchObject({ attempts: 2, cause: { peerCode: 'timed out' } });
    });

    it("passes other errors on, counted by the caller's operations", async () => {
      await addBridge();
      const task = { table: 'Port', where, columns: ['tag'] } as const;
      const wrong = db.readModifyWrite({
        ...task,
        change: () => [{ op: 'update', table: 'Port', where, row: { tag: 5000 } }],
      });
      const error = await failure(wrong);
      expect(error).toBeInstanceOf(OperationError);
      expect(error).toMatchObject({ index: 0, operation: 'update', peerCode: 'constraint violation' });
      expect(await db.readModifyWrite({ ...task, change: () => undefined })).toBeUndefined();
    });
  });
});
