import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import {
  type CallContext,
  createRpcServer,
  createTransport,
  RpcFailure,
  type RpcServer,
  type Transport,
} from '../src/index.ts';
import { ask, gate, haveStock, type Peer, startPeer } from './support.ts';

describe.skipIf(!haveStock())('our server, stock oslo.messaging as the client', () => {
  let rabbit: TestRabbit;
  let transport: Transport;
  let server: RpcServer;
  let client: Peer;
  let contexts: CallContext[] = [];
  let hold = gate();
  let held = gate();
  let casts = gate<Readonly<Record<string, unknown>>>();
  const errors: unknown[] = [];

  beforeAll(async () => {
    rabbit = await startRabbit();
    transport = createTransport({ url: rabbit.url, backoff: { maxMs: 300 }, connectionName: 'contract' });
    server = createRpcServer({
      transport,
      exchange: 'dpu',
      topic: 'compute',
      server: 'h1',
      endpoints: [
        {
          version: '1.3',
          methods: {
            async echo(args, ctx) {
              contexts.push(ctx);
              return { args, context: ctx.context, kind: ctx.kind };
            },
            async nothing() {},
            async note(args) {
              casts.resolve(args);
            },
            async wait() {
              held.resolve();
              await hold.promise;
              return 'waited';
            },
            async notFound() {
              throw new RpcFailure({
                rpcClass: 'NotFound',
                rpcModule: 'contract_errors',
                message: 'no instance i1',
                rpcKwargs: { code: 'not_found' },
              });
            },
            async builtin() {
              throw new RpcFailure({ rpcClass: 'NotImplementedError', rpcModule: 'builtins', message: 'not here' });
            },
            async crash() {
              throw new Error('secret in here');
            },
            async unwritable() {
              return 1n;
            },
          },
        },
        { version: '1.1', namespace: 'baseapi', methods: { ping: async ({ arg }) => ({ service: 'compute', arg }) } },
      ],
      onHandlerError: (error) => errors.push(error),
    });
    await server.ready();
    client = await startPeer('rpc_client.py', { url: rabbit.url, exchange: 'dpu' });
  });

  afterAll(async () => {
    await client?.stop();
    await server?.stop();
    await transport?.close();
    await rabbit?.stop();
  });

  it('answers a call, and gives the handler the request context', async () => {
    contexts = [];
    const args = { name: 'i1', list: [1, { a: null }], text: 'ü\u{1f600}"' };
    const answer = await ask(client, {
      method: 'echo',
      args,
      prepare: { server: 'h1' },
      context: { request_id: 'req-1' },
    });
    expect(answer.result).toEqual({ args, context: expect.objectContaining({ request_id: 'req-1' }), kind: 'call' });
    expect(contexts[0]?.uniqueId).toMatch(/^[0-9a-f]{32}$/);
  });

  it('answers a call to the topic without a server, and null for a method without a result', async () => {
    expect(await ask(client, { method: 'nothing' })).toMatchObject({ result: null });
  });

  it('serves the base API in its namespace', async () => {
    const prepare = { server: 'h1', namespace: 'baseapi', version: '1.0' };
    expect((await ask(client, { method: 'ping', args: { arg: 7 }, prepare })).result).toEqual({
      service: 'compute',
      arg: 7,
    });
  });

  it.each([{ server: 'h1' }, { fanout: true }])('gets a cast: %s', async (prepare) => {
    casts = gate();
    await ask(client, { kind: 'cast', method: 'note', args: { text: 'hello' }, prepare });
    expect(await casts.promise).toEqual({ text: 'hello' });
  });

  it('fails so that a caller who allows the module gets the class back', async () => {
    const { error } = await ask(client, { method: 'notFound' });
    expect(error).toMatchObject({ class: 'NotFound_Remote', code: 'not_found', kwargs: { code: 'not_found' } });
    expect(error?.bases).toContain('contract_errors.NotFound');
    expect(String(error?.text).trim()).toBe('no instance i1');
  });

  it('fails with a builtin exception', async () => {
    expect((await ask(client, { method: 'builtin' })).error?.class).toBe('NotImplementedError');
  });

  it.each(['crash', 'unwritable'])('says nothing of the inside when %s', async (method) => {
    const { error } = await ask(client, { method });
    expect(error).toMatchObject({ class: 'RemoteError', exc_type: 'InternalError' });
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  it('tells an unknown method and a wrong version as oslo does', async () => {
    expect((await ask(client, { method: 'nope' })).error).toMatchObject({ exc_type: 'NoSuchMethod' });
    const prepare = { version: '1.4' };
    expect((await ask(client, { method: 'echo', prepare })).error).toMatchObject({ exc_type: 'UnsupportedVersion' });
  });

  it('a caller who does not allow the module sees a RemoteError', async () => {
    const strict = await startPeer('rpc_client.py', { url: rabbit.url, exchange: 'dpu', allowed: [] });
    const { error } = await ask(strict, { method: 'notFound' });
    expect(error).toMatchObject({ class: 'RemoteError', exc_type: 'NotFound' });
    await strict.stop();
  });

  it.each([
    ['1.0', undefined],
    ['1.3', undefined],
    ['1.4', 'UnsupportedVersion'],
    ['2.0', 'UnsupportedVersion'],
  ])('negotiates version %s with a stock client: %s', async (version, failure) => {
    const { error } = await ask(client, { method: 'nothing', prepare: { version } });
    expect(error?.exc_type).toBe(failure);
  });

  it('a stock client with a version cap keeps to it by itself', async () => {
    const prepare = { version: '1.3', version_cap: '1.2' };
    expect((await ask(client, { method: 'nothing', prepare })).error).toMatchObject({ class: 'RPCVersionCapError' });
    expect(await ask(client, { method: 'nothing', prepare: { ...prepare, version: '1.2' } })).toMatchObject({
      result: null,
    });
  });

  it('a namespace keeps its methods to itself', async () => {
    const nobody = await ask(client, { method: 'ping', args: { arg: 1 } });
    expect(nobody.error).toMatchObject({ exc_type: 'NoSuchMethod' });
    const elsewhere = await ask(client, { method: 'nothing', prepare: { namespace: 'baseapi' } });
    expect(elsewhere.error).toMatchObject({ exc_type: 'NoSuchMethod' });
    const none = await ask(client, { method: 'nothing', prepare: { namespace: 'nothing here' } });
    expect(none.error).toMatchObject({ exc_type: 'UnsupportedVersion' });
  });

  it('runs once what stock sent and the broker delivered again', async () => {
    const raw = await connect(rabbit.url.replace('rabbit://', 'amqp://'));
    const channel = await raw.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'dpu', 'compute.h1');
    const copied = gate<Buffer>();
    await channel.consume(queue, (message) => message !== null && copied.resolve(message.content));
    contexts = [];
    const echo = (n: number) => ask(client, { method: 'echo', args: { n }, prepare: { server: 'h1' } });
    await echo(1);
    channel.publish('dpu', 'compute.h1', await copied.promise);
    await echo(2);
    expect(contexts.length).toBe(2);
    await raw.close();
  });

  it.each([
    { what: 'answers the call in flight', drainMs: 60_000 },
    { what: 'leaves the call in flight to the next server', drainMs: 1 },
  ])('drains at stop: $what', async ({ drainMs }) => {
    const begun = gate();
    const finish = gate();
    const start = (name: string, answer: () => Promise<unknown>) =>
      createRpcServer({
        ...{ transport, exchange: 'dpu', topic: 'compute', server: 'drained' },
        endpoints: [{ version: '1.0', methods: { slow: async () => await answer().then(() => name) } }],
      });
    const first = start('first', () => {
      begun.resolve();
      return finish.promise;
    });
    await first.ready();
    const asked = ask(client, { method: 'slow', prepare: { server: 'drained', timeout: 50 } });
    await begun.promise;
    const other = await startPeer('rpc_client.py', { url: rabbit.url, exchange: 'dpu' });
    let over = false;
    const stopped = first.stop({ drainMs }).finally(() => {
      over = true;
    });
    if (drainMs > 1) {
      await ask(other, { method: 'nothing' });
      expect(over).toBe(false);
      finish.resolve();
    }
    await stopped;
    const second = start('second', () => Promise.resolve());
    expect(await asked).toMatchObject({ result: drainMs > 1 ? 'first' : 'second' });
    await second.stop();
    await other.stop();
    finish.resolve();
  });

  it('takes no new call while it drains', async () => {
    const served: unknown[] = [];
    const begun = gate();
    const finish = gate();
    const own = { transport, exchange: 'dpu', topic: 'compute', server: 'closing' } as const;
    const slow = async ({ n }: Readonly<Record<string, unknown>>) => {
      served.push(n);
      begun.resolve();
      await finish.promise;
    };
    const first = createRpcServer({ ...own, endpoints: [{ version: '1.0', methods: { slow } }] });
    await first.ready();
    const prepare = { server: 'closing', timeout: 50 };
    const asked = ask(client, { method: 'slow', args: { n: 1 }, prepare });
    await begun.promise;
    const other = await startPeer('rpc_client.py', { url: rabbit.url, exchange: 'dpu' });
    const stopped = first.stop({ drainMs: 60_000 });
    await ask(other, { kind: 'cast', method: 'slow', args: { n: 2 }, prepare: { server: 'closing' } });
    finish.resolve();
    await stopped;
    expect(await asked).toMatchObject({ result: null });
    expect(served).toEqual([1]);
    const next = gate<unknown>();
    const take = async ({ n }: Readonly<Record<string, unknown>>) => next.resolve(n);
    const second = createRpcServer({ ...own, endpoints: [{ version: '1.0', methods: { slow: take } }] });
    expect(await next.promise).toBe(2);
    await second.stop();
    await other.stop();
  });

  it('keeps a slow call alive by heartbeats, longer than the call-monitor time', async () => {
    hold = gate();
    held = gate();
    const asked = ask(client, { method: 'wait', prepare: { call_monitor_timeout: 2, timeout: 60 } });
    await held.promise;
    // Five seconds of handler time against a monitor of two: only heartbeats keep the caller waiting.
    const timer = setTimeout(() => hold.resolve(), 5000);
    expect(await asked).toMatchObject({ result: 'waited' });
    clearTimeout(timer);
  });

  it('a stock client gives up a call whose server died, when its heartbeats stay away', async () => {
    const begun = gate();
    const own = createTransport({ url: rabbit.url });
    const slow = async () => {
      begun.resolve();
      return await new Promise(() => {});
    };
    const endpoints = [{ version: '1.0', methods: { slow } }];
    const dying = createRpcServer({ transport: own, exchange: 'dpu', topic: 'compute', server: 'dying', endpoints });
    await dying.ready();
    const prepare = { server: 'dying', call_monitor_timeout: 1, timeout: 3600 };
    const asked = ask(client, { method: 'slow', prepare });
    await begun.promise;
    await own.close();
    expect((await asked).error).toMatchObject({ class: 'MessagingTimeout' });
    await dying.stop({ drainMs: 1 });
  });

  it('goes on after a broker restart that lost every queue', async () => {
    await rabbit.restart({ wipe: true });
    // Until its queues are declared again a call has nowhere to go, as with any oslo server; so ask with short limits.
    await expect
      .poll(
        async () =>
          (await ask(client, { method: 'echo', args: { n: 1 }, prepare: { server: 'h1', timeout: 3 } })).result,
        {
          timeout: 25_000,
          interval: 50,
        },
      )
      .toMatchObject({ args: { n: 1 } });
    casts = gate();
    await ask(client, { kind: 'cast', method: 'note', args: { text: 'again' }, prepare: { fanout: true } });
    expect(await casts.promise).toEqual({ text: 'again' });
  });

  it('answers a call that was running when the broker lost every queue', async () => {
    hold = gate();
    held = gate();
    const asked = ask(client, { method: 'wait', prepare: { timeout: 50 } });
    await held.promise;
    await rabbit.restart({ wipe: true });
    hold.resolve();
    expect(await asked).toMatchObject({ result: 'waited' });
  }, 60_000);
});
