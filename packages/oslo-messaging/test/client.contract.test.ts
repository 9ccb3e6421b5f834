import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import {
  createRpcClient,
  createTransport,
  MessagingTimeout,
  type RpcClient,
  type Transport,
  UnroutableError,
} from '../src/index.ts';
import { haveStock, type Peer, startPeer } from './support.ts';

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
});
