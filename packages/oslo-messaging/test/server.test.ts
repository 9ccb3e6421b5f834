import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import {
  type BadMessageReason,
  type CallContext,
  createRpcServer,
  createTransport,
  decodeReply,
  encodeRequest,
  FlagsMismatchError,
  type Reply,
  type Request,
  type RpcServer,
  type Transport,
} from '../src/index.ts';
import { type Relay, startRelay } from './relay.ts';
import { haveStock } from './support.ts';

const cast: Request = {
  method: 'work',
  args: {},
  version: '1.0',
  namespace: null,
  uniqueId: null,
  reply: null,
  timeoutSec: null,
  context: {},
};

describe.skipIf(!haveStock())('RPC server on the wire', () => {
  let rabbit: TestRabbit;
  let relay: Relay;
  let raw: ChannelModel;
  let channel: Channel;
  let transport: Transport;
  let server: RpcServer;
  let calls: { ctx: CallContext; args: Readonly<Record<string, unknown>> }[] = [];
  let bad: BadMessageReason[] = [];
  let handler: (ctx: CallContext) => Promise<unknown> = async () => 'done';
  let replies: Reply[] = [];
  let replyMessages: ConsumeMessage[] = [];
  let replyQueue = '';

  beforeAll(async () => {
    rabbit = await startRabbit();
    relay = await startRelay(rabbit.port);
    raw = await connect({
      hostname: '127.0.0.1',
      port: rabbit.port,
      username: rabbit.user,
      password: rabbit.password,
    });
  });

  afterAll(async () => {
    await raw?.close();
    await relay?.stop();
    await rabbit?.stop();
  });

  beforeEach(async () => {
    calls = [];
    bad = [];
    replies = [];
    replyMessages = [];
    handler = async () => 'done';
    channel = await raw.createChannel();
    replyQueue = (await channel.assertQueue('', { exclusive: true })).queue;
    await channel.consume(
      replyQueue,
      (message) => {
        if (message === null) return;
        replyMessages.push(message);
        const decoded = decodeReply(message.content);
        if (decoded.ok) replies.push(decoded.value);
      },
      { noAck: true },
    );
    transport = createTransport({
      url: rabbit.url.replace(`:${rabbit.port}`, `:${relay.port}`),
      backoff: { maxMs: 20 },
    });
    server = createRpcServer({
      transport,
      exchange: 'dpu',
      topic: 'compute',
      server: 'h1',
      replyRetryMs: 5000,
      maxBodyBytes: 100_000,
      endpoints: [
        {
          version: '1.0',
          methods: {
            work(args, ctx) {
              calls.push({ args, ctx });
              return handler(ctx);
            },
          },
        },
      ],
      onBadMessage: (reason) => bad.push(reason),
    });
    await server.ready();
  });

  afterEach(async () => {
    relay.deaf = false;
    await server.stop({ drainMs: 100 });
    await transport.close();
    for (const queue of ['compute', 'compute.h1']) await channel.deleteQueue(queue);
    await channel.close();
  });

  const send = (request: Partial<Request>) =>
    channel.publish('dpu', 'compute.h1', encodeRequest({ ...cast, ...request }));
  const depth = async (queue = 'compute.h1') => (await channel.checkQueue(queue)).messageCount;
  const call = (id: string) => ({ uniqueId: id, reply: { msgId: id, replyQueue } });

  it('declares queues and exchanges with the flags that oslo.messaging uses', async () => {
    // Equal flags are accepted, others would close the channel with 406.
    await channel.assertExchange('dpu', 'topic', { durable: false, autoDelete: false });
    await channel.assertExchange('compute_fanout', 'fanout', { durable: false, autoDelete: true });
    for (const queue of ['compute', 'compute.h1']) {
      expect((await channel.assertQueue(queue, { durable: false, autoDelete: false })).consumerCount).toBe(1);
    }
  });

  it('answers with the message properties that oslo.messaging sets', async () => {
    send(call('a'));
    await expect.poll(() => replies).toMatchObject([{ msgId: 'a', result: 'done', failure: null, ending: true }]);
    expect(replyMessages[0]?.properties).toMatchObject({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      priority: 0,
      headers: {},
      expiration: undefined,
      messageId: undefined,
    });
  });

  it('drops a repeat of an answered message', async () => {
    send(call('a'));
    send(call('a'));
    send({ uniqueId: 'b' });
    await expect.poll(() => calls.length).toBe(2);
    expect(calls.map(({ ctx }) => ctx.uniqueId)).toEqual(['a', 'b']);
    await expect.poll(() => replies.length).toBe(1);
  });

  it('runs a message once that is delivered again while it runs, and acknowledges the new delivery', async () => {
    const hold = Promise.withResolvers<void>();
    handler = () => hold.promise;
    send(call('a'));
    await expect.poll(() => calls.length).toBe(1);
    const before = relay.connections;
    relay.cut();
    await expect.poll(() => relay.connections).toBeGreaterThan(before);
    await expect.poll(async () => (await channel.checkQueue('compute.h1')).consumerCount).toBe(1);
    hold.resolve();
    await expect.poll(() => replies.length).toBe(1);
    await server.stop();
    expect(calls.length).toBe(1);
    expect(await depth()).toBe(0);
  });

  it('leaves a message that was neither acknowledged nor answered in the queue, for the next server', async () => {
    handler = (ctx) =>
      new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));
    send({ uniqueId: 'a' });
    await expect.poll(() => calls.length).toBe(1);
    await server.stop({ drainMs: 1 });
    await expect.poll(() => depth()).toBe(1);
  });

  it('takes a message from the queue at ctx.ack(), before its end', async () => {
    handler = (ctx) => {
      ctx.ack();
      ctx.ack();
      return new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)));
    };
    send({ uniqueId: 'a' });
    await expect.poll(() => calls.length).toBe(1);
    await server.stop({ drainMs: 1 });
    expect(await depth()).toBe(0);
  });

  it('waits at stop for what runs, answers it, and removes its fanout queue', async () => {
    const hold = Promise.withResolvers<string>();
    handler = () => hold.promise;
    send(call('a'));
    await expect.poll(() => calls.length).toBe(1);
    const stopped = server.stop({ drainMs: 20_000 });
    hold.resolve('late');
    await stopped;
    await expect.poll(() => replies).toMatchObject([{ result: 'late' }]);
    // Auto-delete: the exchange goes with its last queue.
    const probe = await raw.createChannel();
    probe.on('error', () => {});
    await expect(probe.checkExchange('compute_fanout')).rejects.toThrow();
  });

  it('lives on after broken messages, tells of each and answers where it can', async () => {
    const inner = (value: unknown) => JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': JSON.stringify(value) });
    const broken = [
      Buffer.from([0xff]),
      'nonsense',
      '[]',
      '{"oslo.version":"2.0","oslo.message":1}',
      inner({ method: 7, _msg_id: 'x1', _reply_q: replyQueue }),
      inner({ method: 'work', args: 1, _msg_id: 'x2', _reply_q: replyQueue }),
      inner({ method: 'work', _msg_id: 'x3' }),
      '{"oslo.version":"2.0","oslo.message":"'.concat('x'.repeat(100_000), '"}'),
    ];
    for (const body of broken) channel.publish('dpu', 'compute.h1', Buffer.from(body));
    send(call('good'));
    await expect.poll(() => replies.length).toBe(3);
    expect(replies.find(({ msgId }) => msgId === 'good')).toMatchObject({ result: 'done' });
    expect(replies.filter(({ failure }) => failure !== null).map(({ msgId }) => msgId)).toEqual(['x1', 'x2']);
    expect([...bad].sort()).toEqual(
      [
        'not-utf8',
        'not-json',
        'bad-envelope',
        'bad-envelope',
        'bad-method',
        'bad-args',
        'bad-reply-address',
        'too-large',
      ].sort(),
    );
    await server.stop();
    expect(await depth()).toBe(0);
  });

  it('is not troubled by a caller whose reply queue is gone', async () => {
    send({ uniqueId: 'a', reply: { msgId: 'a', replyQueue: 'reply_of_nobody' } });
    send(call('b'));
    await expect.poll(() => replies.map(({ msgId }) => msgId)).toEqual(['b']);
  });

  it('sends heartbeats only to a call that asked for them, and none after the answer', async () => {
    const hold = Promise.withResolvers<string>();
    handler = () => hold.promise;
    send({ ...call('silent') });
    send({ ...call('watched'), timeoutSec: 1 });
    await expect.poll(() => replies.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
    expect(replies.every(({ msgId, ending }) => msgId === 'watched' && !ending)).toBe(true);
    hold.resolve('end');
    await expect.poll(() => replies.filter(({ ending }) => ending).length).toBe(2);
    expect(replies.filter(({ msgId }) => msgId === 'watched').at(-1)).toMatchObject({ ending: true, result: 'end' });
  });

  it('declares a queue again that somebody deleted', async () => {
    await channel.deleteQueue('compute.h1');
    await expect.poll(async () => await raw.createChannel().then(probeConsumers)).toBe(1);
    send({ uniqueId: 'after' });
    await expect.poll(() => calls.length).toBe(1);
  });

  it('reports queue flags that differ from the other side, and recovers once they are gone', async () => {
    await server.stop();
    await channel.deleteQueue('compute.h1');
    await channel.assertQueue('compute.h1', { durable: true });
    const refused = Promise.withResolvers<Error>();
    transport.on('error', refused.resolve);
    server = createRpcServer({ transport, exchange: 'dpu', topic: 'compute', server: 'h1', endpoints: [] });
    expect(await refused.promise).toBeInstanceOf(FlagsMismatchError);
    expect(await refused.promise).toMatchObject({ code: 'flags-mismatch', replyCode: 406 });
    await channel.deleteQueue('compute.h1');
    await server.ready();
  });
});

/** Consumers of compute.h1, or null while it is absent; a channel of its own, since absence closes it. */
async function probeConsumers(channel: Channel): Promise<number | null> {
  channel.on('error', () => {});
  try {
    const { consumerCount } = await channel.checkQueue('compute.h1');
    await channel.close();
    return consumerCount;
  } catch {
    return null;
  }
}
