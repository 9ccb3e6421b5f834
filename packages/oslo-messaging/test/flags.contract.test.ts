import { type Channel, type ChannelModel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import {
  createNotificationListener,
  createNotifier,
  createRpcClient,
  createRpcServer,
  createTransport,
  FlagsMismatchError,
  type QueueFlags,
  RefusedError,
  type Transport,
} from '../src/index.ts';
import { ask, haveStock, type Line, type Peer, startPeer } from './support.ts';

const flagSets = [
  { name: 'durable', ours: { durableQueues: true }, rabbit: { amqp_durable_queues: true } },
  { name: 'quorum', ours: { quorumQueues: true }, rabbit: { rabbit_quorum_queue: true } },
  {
    name: 'auto-delete, short-lived',
    ours: { autoDelete: true, transientQueuesTtlSec: 60 },
    rabbit: { amqp_auto_delete: true, rabbit_transient_queues_ttl: 60 },
  },
] as const;

describe.skipIf(!haveStock())('queue flags with stock oslo.messaging', () => {
  let rabbit: TestRabbit;
  let transport: Transport;
  let raw: ChannelModel;
  let channel: Channel;
  const peers: Peer[] = [];
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    rabbit = await startRabbit();
    transport = createTransport({ url: rabbit.url, backoff: { maxMs: 300 } });
    raw = await connect(rabbit.url.replace('rabbit://', 'amqp://'));
    channel = await raw.createChannel();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    for (const peer of peers.splice(0)) await peer.stop();
  });
  afterAll(async () => {
    await transport?.close();
    await raw?.close();
    await rabbit?.stop();
  });

  async function stock(script: string, start: Line): Promise<Peer> {
    const peer = await startPeer(script, { url: rabbit.url, server: 's1', ...start });
    peers.push(peer);
    return peer;
  }

  function serve(exchange: string, topic: string, flags: QueueFlags) {
    const methods = { twice: async ({ n }: Readonly<Record<string, unknown>>) => Number(n) * 2 };
    const endpoints = [{ version: '1.0', methods }];
    const server = createRpcServer({ transport, exchange, topic, server: 'h1', endpoints, ...flags });
    closing.push(() => server.stop());
    return server;
  }

  function clientOf(exchange: string, topic: string, flags: QueueFlags) {
    const client = createRpcClient({ transport, exchange, topic, ...flags });
    closing.push(() => client.close());
    return client;
  }

  it.each(flagSets)('stock calls and casts to our server: $name', async ({ name, ours, rabbit }) => {
    const topic = `ours-${name}`;
    await serve(topic, topic, ours).ready();
    const client = await stock('rpc_client.py', { exchange: topic, topic, rabbit });
    for (const prepare of [{}, { server: 'h1' }]) {
      expect(await ask(client, { method: 'twice', args: { n: 21 }, prepare })).toMatchObject({ result: 42 });
    }
    expect(
      await ask(client, { kind: 'cast', method: 'twice', args: {}, prepare: { fanout: true } }),
    ).not.toHaveProperty('error');
  });

  it.each(flagSets)('we call and cast to the stock server: $name', async ({ name, ours, rabbit }) => {
    const topic = `stock-${name}`;
    const server = await stock('rpc_server.py', { exchange: topic, topic, rabbit });
    const client = clientOf(topic, topic, ours);
    expect(await client.call('nothing', {}, { mandatory: true })).toBeNull();
    expect(await client.call('nothing', {}, { mandatory: true, server: 's1' })).toBeNull();
    await client.cast('note', { text: 'all' }, { fanout: true, mandatory: true });
    expect(await server.line('noted')).toEqual({ noted: 'all' });
  });

  it('call, cast and notify reject with FlagsMismatchError where stock has declared a durable exchange', async () => {
    await stock('rpc_server.py', { exchange: 'solid', topic: 'solid', rabbit: { amqp_durable_queues: true } });
    const client = clientOf('solid', 'solid', {});
    const notifier = createNotifier({ transport, exchange: 'solid', publisherId: 'p' });
    closing.push(() => notifier.close());
    const refused = [client.call('nothing', {}), client.cast('note', { text: 'x' }), notifier.info('e', {})];
    for (const outcome of await Promise.allSettled(refused)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'flags-mismatch', replyCode: 406 } });
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(FlagsMismatchError);
      expect((outcome as PromiseRejectedResult).reason.message).toContain("'solid'");
    }
    // The refusal cost a channel and not the connection.
    const right = clientOf('solid', 'solid', { durableQueues: true });
    expect(await right.call('nothing', {})).toBeNull();
  });

  it.each([
    { kind: 'server', flags: {} },
    { kind: 'server', flags: { quorumQueues: true } },
    { kind: 'listener', flags: {} },
  ] as const)('a $kind of other flags than stock tells of it: $flags', async ({ kind, flags }) => {
    const exchange = `told-${kind}-${Object.keys(flags).length}`;
    const options = { exchange, topic: exchange, topics: [exchange], rabbit: { amqp_durable_queues: true } };
    await stock(kind === 'server' ? 'rpc_server.py' : 'notifications.py', options);
    const told = Promise.withResolvers<Error>();
    closing.push(async () => off());
    const off = transport.on('error', told.resolve);
    if (kind === 'server') serve(exchange, exchange, flags);
    else {
      const targets = [{ exchange, topic: exchange }];
      const listener = createNotificationListener({ transport, targets, handlers: { info: async () => {} }, ...flags });
      closing.push(() => listener.stop());
    }
    expect(await told.promise).toBeInstanceOf(FlagsMismatchError);
    expect((await told.promise).message).toContain(exchange);
  });

  it('a stock server comes to serve once our queue of other flags is gone', async () => {
    const server = serve('other', 'other', { durableQueues: true });
    await server.ready();
    await server.stop();
    const client = clientOf('other', 'other', {});
    await expect(client.call('nothing', {})).rejects.toBeInstanceOf(FlagsMismatchError);
    for (const queue of ['other', 'other.h1']) await channel.deleteQueue(queue);
    await channel.deleteExchange('other');
    await stock('rpc_server.py', { exchange: 'other', topic: 'other' });
    expect(await client.call('nothing', {}, { mandatory: true })).toBeNull();
  });

  it('a cast that the broker refuses (nack) rejects with RefusedError', async () => {
    const full = { 'x-max-length': 0, 'x-overflow': 'reject-publish' };
    await channel.assertExchange('full', 'topic', { durable: false });
    await channel.assertQueue('full', { durable: false, arguments: full });
    await channel.bindQueue('full', 'full', 'full');
    await expect(clientOf('full', 'full', {}).cast('x', {})).rejects.toBeInstanceOf(RefusedError);
  });
});
