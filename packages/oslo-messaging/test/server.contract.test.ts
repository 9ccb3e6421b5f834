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
