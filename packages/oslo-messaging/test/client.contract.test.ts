import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import {
  createRpcClient,
  createTransport,
  MessagingTimeout,
  RemoteError,
  type RpcClient,
  type Transport,
  UnroutableError,
  VersionCapError,
} from '../src/index.ts';
import { ask, haveStock, type Peer, startPeer } from './support.ts';

/** What `contract_errors.NotFound` is here. */
class NotFound extends Error {
  readonly status: unknown;
  constructor(remote: RemoteError) {
    super(remote.message);
    this.status = remote.kwargs.code;
  }
}

class Broken extends Error {
  constructor() {
    super();
    throw new Error('cannot be built');
  }
}

describe.skipIf(!haveStock())('our client, stock oslo.messaging as the server', () => {
  let rabbit: TestRabbit;
  let transport: Transport;
  let client: RpcClient;
  let server: Peer;

  beforeAll(async () => {
    rabbit = await startRabbit();
    transport = createTransport({ url: rabbit.url, backoff: { maxMs: 300 } });
    client = createRpcClient({ transport, exchange: 'dpu', topic: 'platform', version: '1.0' });
  });

  afterAll(async () => {
    await client?.close();
    await transport?.close();
    await server?.stop();
    await rabbit?.stop();
  });

  it('rejects a mandatory cast while there is no queue, and delivers it once there is one', async () => {
    const cast = () => client.cast('note', { text: 'first' }, { mandatory: true });
    await expect(cast()).rejects.toBeInstanceOf(UnroutableError);
    await client.cast('note', { text: 'lost' }); // not mandatory: as in oslo, nobody is told
    server = await startPeer('rpc_server.py', { url: rabbit.url, exchange: 'dpu', server: 's1' });
    await cast();
    expect(await server.line('noted')).toEqual({ noted: 'first' });
  });

  it.each([{}, { server: 's1' }])('calls %s', async (to) => {
    const context = { request_id: 'req-2', roles: [] };
    const result = await client.call('echo', { a: [1, 'ü'] }, { ...to, context });
    expect(result).toMatchObject({ args: { a: [1, 'ü'] }, context });
  });

  it('gets null of a method without a result, and reaches a namespace', async () => {
    expect(await client.call('nothing', {})).toBeNull();
    expect(await client.call('where', {}, { namespace: 'other', version: '2.0' })).toBe('in the namespace');
  });

  it('casts by fanout', async () => {
    await client.cast('note', { text: 'to all' }, { fanout: true, mandatory: true });
    expect(await server.line('noted')).toEqual({ noted: 'to all' });
  });

  it('casts in the order of the calls', async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `n${i}`);
    await Promise.all(texts.map((text) => client.cast('note', { text }, { mandatory: true })));
    const seen = new Set<unknown>();
    for (const _ of texts) seen.add((await server.line('noted')).noted);
    expect(seen.size).toBe(20); // the Python server's threads may print in another order
  });

  it('rejects with class, module and kwargs of what the server raised', async () => {
    await expect(client.call('fail', {})).rejects.toMatchObject({
      code: 'remote',
      rpcClass: 'NotFound',
      rpcModule: 'contract_errors',
      message: 'no such thing',
      kwargs: { code: 404 },
    });
    await expect(client.call('nope', {})).rejects.toMatchObject({ rpcClass: 'NoSuchMethod' });
    await expect(client.call('echo', {}, { version: '1.9' })).rejects.toMatchObject({ rpcClass: 'UnsupportedVersion' });
  });

  it.each([
    { what: 'an allowed class', allowedModules: { contract_errors: { NotFound } }, type: NotFound },
    { what: 'a class that is not listed', allowedModules: { contract_errors: { Other: NotFound } }, type: RemoteError },
    { what: 'a module that is not listed', allowedModules: { errors: { NotFound } }, type: RemoteError },
    {
      what: 'a class that cannot be built',
      allowedModules: { contract_errors: { NotFound: Broken } },
      type: RemoteError,
    },
  ])('a failure of $what', async ({ allowedModules, type }) => {
    const own = createRpcClient({ transport, exchange: 'dpu', topic: 'platform', version: '1.0', allowedModules });
    const error: unknown = await own.call('fail', {}).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject(type === NotFound ? { message: 'no such thing', status: 404 } : { code: 'remote' });
    await own.close();
  });

  it('sends nothing beyond its version cap', async () => {
    const own = createRpcClient({ transport, exchange: 'dpu', topic: 'platform', versionCap: '1.1' });
    for (const version of ['1.0', '1.1']) expect(await own.call('nothing', {}, { version })).toBeNull();
    for (const version of ['1.2', '2.0']) {
      await expect(own.call('nothing', {}, { version })).rejects.toBeInstanceOf(VersionCapError);
      await expect(own.cast('note', { text: 'x' }, { version })).rejects.toBeInstanceOf(VersionCapError);
    }
    await own.close();
  });

  it('agrees with stock on what a version cap lets through', async () => {
    const peer = await startPeer('rpc_client.py', { url: rabbit.url, exchange: 'dpu' });
    for (const cap of ['1.0', '1.3', '2.0', '2.10', '1.3.1']) {
      const own = createRpcClient({ transport, exchange: 'dpu', topic: 'platform', versionCap: cap });
      for (const version of ['1.0', '1.2', '1.3', '1.3.1', '1.4', '2.0', '2.9', '2.10', '2.11', '3.0']) {
        const prepare = { version_cap: cap };
        const { result } = await ask(peer, { kind: 'can_send_version', args: { version }, prepare });
        expect({ cap, version, can: own.canSendVersion(version) }).toEqual({ cap, version, can: result });
      }
      await own.close();
    }
    await peer.stop();
  });

  it('repeats a cast under its id, and the stock server runs it once', async () => {
    for (const _ of [1, 2, 3])
      await client.cast('note', { text: 'once' }, { uniqueId: 'f'.repeat(32), mandatory: true });
    await server.line('noted', 'once');
    await client.cast('note', { text: 'after' });
    await server.line('noted', 'after');
    expect(await client.call('count', { text: 'once' })).toBe(1);
  });

  it('gets the answer of a stock server that is stopped meanwhile', async () => {
    const other = await startPeer('rpc_server.py', { url: rabbit.url, exchange: 'dpu', server: 's2' });
    const slow = client.call('wait', {}, { server: 's2' });
    await other.line('waiting');
    other.write('stop');
    await other.line('stopping');
    other.write('release');
    expect(await slow).toBe('released');
    await other.stop();
  });

  it('waits as long as heartbeats come, and drops an answer that comes after a time-out', async () => {
    await expect(client.call('wait', {}, { timeoutMs: 200 })).rejects.toBeInstanceOf(MessagingTimeout);
    await server.line('waiting');
    const slow = client.call('wait', {}, { callMonitorTimeoutSec: 2, timeoutMs: 60_000 });
    await server.line('waiting');
    const timer = setTimeout(() => server.write('release'), 5000); // more than twice the monitor's time
    expect(await slow).toBe('released');
    clearTimeout(timer);
    expect(await client.call('nothing', {})).toBeNull();
  });

  it('ends a call whose server died when its heartbeats stay away', async () => {
    const other = await startPeer('rpc_server.py', { url: rabbit.url, exchange: 'dpu', server: 's3' });
    const call = client.call('wait', {}, { server: 's3', callMonitorTimeoutSec: 1, timeoutMs: 3_600_000 });
    const outcome = call.catch((error: unknown) => error);
    await other.line('waiting');
    await other.stop();
    expect(await outcome).toBeInstanceOf(MessagingTimeout);
  });

  it('fails a call in order when its signal aborts', async () => {
    const reason = new Error('enough');
    await expect(client.call('echo', {}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('goes on after a broker restart that lost every queue', async () => {
    await rabbit.restart({ wipe: true });
    await expect
      .poll(
        () => client.call('nothing', {}, { mandatory: true, timeoutMs: 3000 }).catch((error: Error) => error.name),
        {
          timeout: 25_000,
          interval: 50,
        },
      )
      .toBeNull();
  });

  it('gets the answer of a call that was under way when the broker lost every queue', async () => {
    const other = await startPeer('rpc_server.py', { url: rabbit.url, exchange: 'dpu', server: 's4' });
    const slow = client.call('wait', {}, { server: 's4' });
    await other.line('waiting');
    await rabbit.restart({ wipe: true });
    other.write('release');
    // as oslo's own clients: the call waits on, under its own id in a queue of the same name
    expect(await slow).toBe('released');
    await other.stop();
  });
});
