import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Client, type ClientOptions, createClient, parseAddress } from '../src/index.ts';
import { haveOvsdb, startServer, type TestServer } from './ovsdb-server.ts';
import { type Relay, startRelay } from './relay.ts';
import type { VSwitch } from './vswitch-tables.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function relayTo(target: string | undefined): Promise<Relay> {
  const relay = await startRelay(target);
  closing.push(() => relay.close());
  return relay;
}

async function realServer(): Promise<TestServer> {
  const server = await startServer();
  closing.push(() => server.stop());
  await server.vsctl('init');
  return server;
}

function clientOf(address: string, options: Partial<ClientOptions> = {}): Client {
  const client = createClient({ address, backoff: { baseMs: 2, maxMs: 20 }, ...options });
  closing.push(() => client.close());
  return client;
}

const next = (client: Client, name: 'connected' | 'disconnected') => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const off = client.on(name, (event) => {
    off();
    resolve(event);
  });
  return promise;
};

describe('addresses', () => {
  it.each([
    ['unix:/a:b', { kind: 'unix', path: '/a:b' }],
    ['tcp:host', { kind: 'tcp', host: 'host', port: 6640 }],
    ['ssl:[::1]:99', { kind: 'ssl', host: '::1', port: 99 }],
  ])('reads %s', (text, address) => expect(parseAddress(text)).toEqual(address));

  it.each(['', 'host', 'unix:', 'tcp:', 'tcp:a:b', 'tcp:::1', 'tcp:[a]:1', 'tcp:a:0', 'tcp:a:65536', 'http:a:1'])(
    'refuses %j',
    (text) => expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'bad-address' })),
  );
});

describe('a client whose server is not there', () => {
  it('ends calls at their deadline, by abort, and when it is closed', async () => {
    const client = clientOf('unix:/nonexistent/db.sock');
    await expect(client.echo({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'deadline' });
    const abort = new AbortController();
    const aborted = client.echo({ signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await expect(client.echo({ signal: abort.signal })).rejects.toThrow('enough');
    const waiting = client.echo();
    const monitor = client.database('x').monitor({ t: {} });
    const results = Promise.allSettled([waiting, monitor]);
    await client.close();
    expect(await results).toMatchObject([{ reason: { code: 'closed' } }, { reason: { code: 'closed' } }]);
    await expect(client.echo()).rejects.toMatchObject({ code: 'closed' });
  });

  it('holds no more calls than it may', async () => {
    const client = clientOf('unix:/nonexistent/db.sock', { maxQueued: 2 });
    const waiting = Promise.allSettled([client.echo(), client.echo()]);
    await expect(client.echo()).rejects.toMatchObject({ code: 'overload' });
    await client.close();
    await waiting;
  });
});

describe('a peer that is hardly one', () => {
  it('is given up when it says nothing', async () => {
    const relay = await relayTo(undefined);
    const client = clientOf(relay.address, { inactivityMs: 15 });
    await next(client, 'connected');
    expect(await next(client, 'disconnected')).toMatchObject({ error: { code: 'connection-lost' } });
    expect(relay.seen.filter(({ method }) => method === 'echo').length).toBeGreaterThan(0);
  });

  it('gets its echo back, and unknown requests refused', async () => {
    const relay = await relayTo(undefined);
    const client = clientOf(relay.address);
    await next(client, 'connected');
    relay.inject('{"method":"echo","params":["é",1],"id":"x"}{"method":"dance","params":[],"id":7}');
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = setInterval(() => relay.seen.some(({ id }) => id === 7) && resolve(), 2);
    await promise;
    clearInterval(look);
    expect(relay.seen).toContainEqual({ id: 'x', result: ['é', 1], error: null });
    expect(relay.seen).toContainEqual({ id: 7, result: null, error: 'unknown method' });
  });

  it.each(['garbage', '"text"', '[1]', '{"id":1}', '{"method":"update","id":null}', '{]'])(
    'is left when it sends %s',
    async (bytes) => {
      const relay = await relayTo(undefined);
      const client = clientOf(relay.address);
      await next(client, 'connected');
      const left = next(client, 'disconnected');
      relay.inject(bytes);
      expect(await left).toMatchObject({ error: { code: 'protocol' } });
      await next(client, 'connected');
    },
  );

  it('cannot make us hold a message that is too long', async () => {
    const relay = await relayTo(undefined);
    const client = clientOf(relay.address, { maxReceiveBytes: 1000 });
    await next(client, 'connected');
    const left = next(client, 'disconnected');
    relay.inject(`["${'x'.repeat(2000)}`);
    expect(await left).toMatchObject({ error: { code: 'protocol' } });
  });
});

describe.skipIf(!haveOvsdb())('a client', () => {
  it('keeps to its bounds and drops late answers', async () => {
    const server = await realServer();
    const relay = await relayTo(server.address);
    const client = clientOf(relay.address, { maxInFlight: 2, maxSendBytes: 10_000 });
    await client.listDbs();
    relay.held.add('echo');
    const late = [client.echo({ timeoutMs: 25 }), client.echo({ timeoutMs: 25 })];
    const third = client.listDbs();
    await Promise.race(late).catch(() => undefined);
    expect(relay.seen.filter(({ method }) => method === 'list_dbs')).toHaveLength(1); // the third has waited
    expect(await Promise.allSettled(late)).toMatchObject([
      { reason: { code: 'deadline' } },
      { reason: { code: 'deadline' } },
    ]);
    relay.release();
    expect(await third).toContain('Open_vSwitch');
    await client.echo();
    const long = client.database('Open_vSwitch').transact([{ op: 'comment', comment: 'x'.repeat(20_000) }]);
    await expect(long).rejects.toMatchObject({ code: 'encode' });
    expect(client.isConnected).toBe(true);
  });

  it('says that a transact may have been done when the connection ends, and repeats what may be repeated', async () => {
    const server = await realServer();
    const relay = await relayTo(server.address);
    const client = clientOf(relay.address);
    const db = client.database<VSwitch>('Open_vSwitch');
    await db.schema();
    relay.held.add('transact').add('list_dbs');
    const write = db.transact([{ op: 'update', table: 'Open_vSwitch', where: [], row: { ovs_version: '1' } }]);
    const read = client.listDbs();
    const results = Promise.allSettled([write, read]);
    await client.echo();
    relay.held.clear();
    relay.cut();
    expect(await results).toMatchObject([
      { reason: { code: 'connection-lost' } },
      { value: ['Open_vSwitch', '_Server'] },
    ]);
    expect((await server.vsctl('get', 'Open_vSwitch', '.', 'ovs_version')).trim()).toBe('"1"');
  });

  it('goes on to the next address', async () => {
    const server = await realServer();
    const client = createClient({ address: ['unix:/nonexistent/db.sock', server.address], backoff: { baseMs: 1 } });
    closing.push(() => client.close());
    expect(await client.listDbs()).toContain('Open_vSwitch');
  });

  it('survives listeners that throw', async () => {
    const server = await realServer();
    const client = clientOf(server.address);
    const errors: unknown[] = [];
    client.on('error', (error) => {
      errors.push(error);
      throw new Error('again');
    });
    const cache = await client.database<VSwitch>('Open_vSwitch').monitor({ Bridge: { indexes: ['name'] } });
    cache.on('change', () => {
      throw new Error('listener');
    });
    await server.vsctl('add-br', 'br0');
    await cache.until(() => cache.table('Bridge').first('name', 'br0'));
    expect(errors).toMatchObject([{ message: 'listener' }]);
  });

  it('is not thrown off by frames that were tampered with', async () => {
    const server = await realServer();
    await server.vsctl('add-br', 'br0');
    const relay = await relayTo(server.address);
    const client = clientOf(relay.address, { backoff: { baseMs: 1, maxMs: 2 } });
    const cache = await client.database<VSwitch>('Open_vSwitch').monitor({ Bridge: { indexes: ['name'] }, Port: {} });
    const id = relay.seen.find(({ method }) => method === 'monitor_cond_since')?.params?.[1];
    const row = cache.table('Bridge').first('name', 'br0')?._uuid ?? '';
    const update = { [row]: { modify: { ports: ['set', []], name: 'x', other_config: ['map', [['a', 'b']]] } } };
    const frame = Buffer.from(JSON.stringify({ method: 'update3', params: [id, row, { Bridge: update }], id: null }));
    const mutation = fc.tuple(
      fc.nat(frame.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:0\\'))),
    );
    for (const mutations of fc.sample(fc.array(mutation, { minLength: 1, maxLength: 4 }), { numRuns: 300, seed: 7 })) {
      const bytes = Buffer.from(frame);
      for (const [at, byte] of mutations) bytes[at] = byte;
      relay.inject(bytes);
      await new Promise(setImmediate);
    }
    relay.cut(); // whatever was half taken is gone with the connection
    relay.cut();
    await client.listDbs();
    await server.vsctl('add-br', 'br1');
    await cache.until(() => cache.state === 'synced' && cache.table('Bridge').first('name', 'br1'));
  });
});

describe.skipIf(!haveOvsdb())('locks', () => {
  it('go to one client at a time, in the order of asking', async () => {
    const server = await realServer();
    const [a, b] = [clientOf(server.address), clientOf(server.address)];
    const first = a.lock('l');
    await first.acquired();
    const second = b.lock('l');
    await b.echo();
    expect([first.held, second.held]).toEqual([true, false]);
    expect(() => a.lock('l')).toThrow(expect.objectContaining({ code: 'lock-in-use' }));
    await expect(second.acquired({ timeoutMs: 5 })).rejects.toMatchObject({ code: 'deadline' });
    const guarded = [
      { op: 'assert', lock: 'l' },
      { op: 'comment', comment: 'mine' },
    ] as const;
    await a.database('Open_vSwitch').transact(guarded);
    await expect(b.database('Open_vSwitch').transact(guarded)).rejects.toMatchObject({ peerCode: 'not owner' });
    await first.release();
    await second.acquired();
    expect([first.held, second.held]).toEqual([false, true]);
  });

  it('can be stolen, and come back when the thief lets go', async () => {
    const server = await realServer();
    const [a, b] = [clientOf(server.address), clientOf(server.address)];
    const owner = a.lock('l');
    await owner.acquired();
    const stolen = Promise.withResolvers<void>();
    owner.on('stolen', () => stolen.resolve());
    const thief = b.lock('l', { steal: true });
    await thief.acquired();
    await stolen.promise;
    expect([owner.held, thief.held]).toEqual([false, true]);
    await thief.release();
    await owner.acquired();
    expect(owner.held).toBe(true);
  });

  it('are asked for again after the connection was lost, without stealing', async () => {
    const server = await realServer();
    const relay = await relayTo(server.address);
    const [a, b] = [clientOf(relay.address), clientOf(server.address)];
    const lock = a.lock('l', { steal: true });
    await lock.acquired();
    const other = b.lock('l');
    await b.echo();
    const lost = Promise.withResolvers<void>();
    lock.on('lost', () => lost.resolve());
    relay.cut();
    await lost.promise;
    expect(lock.held).toBe(false);
    await other.acquired();
    await a.echo();
    expect(lock.held).toBe(false);
    await other.release();
    await lock.acquired();
    expect(relay.seen.map(({ method }) => method).filter((method) => /lock|steal/.test(method ?? ''))).toEqual([
      'steal',
      'lock',
    ]);
  });
});
