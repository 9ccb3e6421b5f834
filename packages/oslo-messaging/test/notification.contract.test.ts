import { connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import {
  createNotificationListener,
  createNotifier,
  createTransport,
  type Notification,
  type NotificationHandler,
  type NotificationListener,
  notificationPriorities,
  type Transport,
} from '../src/index.ts';
import { haveStock, type Line, type Peer, startPeer } from './support.ts';

const flagSets = [
  { name: 'default', ours: {}, rabbit: {} },
  { name: 'durable', ours: { durableQueues: true }, rabbit: { amqp_durable_queues: true } },
  { name: 'quorum', ours: { quorumQueues: true }, rabbit: { rabbit_quorum_queue: true } },
] as const;

describe.skipIf(!haveStock())('notifications with stock oslo.messaging', () => {
  let rabbit: TestRabbit;
  let transport: Transport;
  const peers: Peer[] = [];
  const listeners: NotificationListener[] = [];

  beforeAll(async () => {
    rabbit = await startRabbit();
    transport = createTransport({ url: rabbit.url, backoff: { maxMs: 300 } });
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.stop();
    for (const listener of listeners.splice(0)) await listener.stop({ drainMs: 1 });
  });
  afterAll(async () => {
    await transport?.close();
    await rabbit?.stop();
  });

  async function stock(start: Line): Promise<Peer> {
    const peer = await startPeer('notifications.py', { url: rabbit.url, notify_topics: [start.exchange], ...start });
    peers.push(peer);
    return peer;
  }

  /** Our listener for every priority; what it took is in the list. */
  async function listen(
    exchange: string,
    options: Partial<Parameters<typeof createNotificationListener>[0]> = {},
    take: NotificationHandler = async () => {},
  ): Promise<Notification[]> {
    const seen: Notification[] = [];
    const handler: NotificationHandler = async (notification, ctx) => {
      seen.push(notification);
      return await take(notification, ctx);
    };
    const listener = createNotificationListener({
      transport,
      targets: [{ exchange, topic: exchange }], // names of queues hold the topic and not the exchange
      handlers: Object.fromEntries(notificationPriorities.map((priority) => [priority, handler])),
      requeueDelayMs: 1,
      ...options,
    });
    listeners.push(listener);
    await listener.ready();
    return seen;
  }

  it.each(flagSets)(
    'the stock listener takes ours at every priority ($name queues)',
    async ({ name, ours, rabbit }) => {
      const exchange = `to-stock-${name}`;
      const notifier = createNotifier({ transport, exchange, publisherId: 'dpu.h1', topics: [exchange], ...ours });
      // Sent before anybody listens: the queue must keep it.
      await notifier.audit('early', { n: 0 });
      const peer = await stock({ exchange, topics: [exchange], rabbit });
      expect(await peer.line('event', 'early')).toMatchObject({ priority: 'audit', payload: { n: 0 } });
      const context = { request_id: 'req-1', project_id: 'p', auth_token: 'secret' };
      for (const priority of notificationPriorities) {
        await notifier[priority](`event.${priority}`, { text: 'ü', list: [1, null] }, { context });
        const line = await peer.line('event', `event.${priority}`);
        expect(line).toMatchObject({ priority, publisher: 'dpu.h1', payload: { text: 'ü', list: [1, null] } });
        expect(line.context).toMatchObject({ request_id: 'req-1', project_id: 'p' });
        expect(JSON.stringify(line)).not.toContain('secret');
        expect(line.metadata).toEqual({
          message_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/),
        });
      }
      await notifier.close();
    },
  );

  it('a notification that the stock listener gives back comes again', async () => {
    const notifier = createNotifier({ transport, exchange: 'back', publisherId: 'dpu.h1' });
    const peer = await stock({ exchange: 'back', topics: ['notifications'] });
    await notifier.info('again', {});
    const first = await peer.line('event', 'again');
    expect(await peer.line('event', 'again')).toEqual(first);
    await notifier.close();
  });

  it.each(flagSets)('ours takes those of the stock notifier ($name queues)', async ({ name, ours, rabbit }) => {
    const exchange = `from-stock-${name}`;
    const seen = await listen(exchange, ours);
    const peer = await stock({ exchange, rabbit });
    for (const priority of notificationPriorities) {
      const context = { request_id: 'req-2' };
      peer.write(JSON.stringify({ priority, event: `e.${priority}`, payload: { a: [1] }, context }));
      await expect.poll(() => seen.length).toBe(1);
      expect(seen.pop()).toEqual({
        messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        publisherId: 'compute.stock',
        eventType: `e.${priority}`,
        priority,
        payload: { a: [1] },
        timestamp: expect.stringMatching(/^\d{4}-/),
        uniqueId: expect.stringMatching(/^[0-9a-f]{32}$/),
        context: { request_id: 'req-2' },
      });
    }
  });

  it('ours takes those without an envelope (driver messaging)', async () => {
    const seen = await listen('plain');
    const peer = await stock({ exchange: 'plain', driver: 'messaging' });
    peer.write(JSON.stringify({ priority: 'info', event: 'plain', payload: 7 }));
    await expect.poll(() => seen).toMatchObject([{ eventType: 'plain', payload: 7 }]);
  });

  it('each pool gets every notification of the stock notifier', async () => {
    const pools = [await listen('pools', { pool: 'pool-a' }), await listen('pools', { pool: 'pool-b' })];
    const peer = await stock({ exchange: 'pools' });
    peer.write(JSON.stringify({ priority: 'warn', event: 'to both' }));
    for (const seen of pools) await expect.poll(() => seen).toMatchObject([{ eventType: 'to both', priority: 'warn' }]);
  });

  it('a stock listener shares a pool with ours', async () => {
    const notifier = createNotifier({ transport, exchange: 'shared', topics: ['shared'], publisherId: 'dpu.h1' });
    const peer = await stock({ exchange: 'shared', topics: ['shared'], pool: 'both' });
    const seen = await listen('shared', { pool: 'both' });
    for (let n = 0; n < 4; n++) await notifier.info(`n${n}`, n);
    await peer.line('event');
    await expect.poll(() => seen.length).toBe(2);
    await peer.line('event');
    await notifier.close();
  });

  it('gives back what a handler refuses or throws on, until it takes it', async () => {
    let tries = 0;
    const seen = await listen('retry', { allowRequeue: true }, async () => {
      tries += 1;
      if (tries === 1) throw new Error('not now');
      return tries === 2 ? 'requeue' : undefined;
    });
    const peer = await stock({ exchange: 'retry' });
    peer.write(JSON.stringify({ priority: 'error', event: 'hard' }));
    await expect.poll(() => seen.length).toBe(3);
    expect(new Set(seen.map(({ messageId }) => messageId)).size).toBe(1);
  });

  it('tells of an error and drops the notification where giving back is not allowed', async () => {
    const told: unknown[] = [];
    const seen = await listen('drop', { onHandlerError: (error) => told.push(error) }, async () => {
      throw new Error('never');
    });
    const peer = await stock({ exchange: 'drop' });
    for (const event of ['first', 'second']) peer.write(JSON.stringify({ priority: 'info', event }));
    await expect.poll(() => told.length).toBe(2);
    expect(seen.map(({ eventType }) => eventType)).toEqual(['first', 'second']);
  });

  it('waits at stop for the handler in work, and leaves the rest to the next listener', async () => {
    const hold = Promise.withResolvers<void>();
    const seen = await listen('drain', { prefetch: 1 }, () => hold.promise);
    const peer = await stock({ exchange: 'drain' });
    for (const event of ['one', 'two']) {
      peer.write(JSON.stringify({ priority: 'info', event }));
      await peer.line('sent', event);
    }
    await expect.poll(() => seen.length).toBe(1);
    const stopped = listeners.pop()?.stop({ drainMs: 20_000 });
    hold.resolve();
    await stopped;
    expect(seen.map(({ eventType }) => eventType)).toEqual(['one']);
    const next = await listen('drain');
    await expect.poll(() => next.map(({ eventType }) => eventType)).toEqual(['two']);
  });

  it('gives a notification that was cut short by stop to the next listener', async () => {
    const cut = await listen('cut', {}, ({ eventType }, { signal }) =>
      eventType === 'cut' ? new Promise((_, reject) => signal.addEventListener('abort', reject)) : Promise.resolve(),
    );
    const peer = await stock({ exchange: 'cut' });
    peer.write(JSON.stringify({ priority: 'info', event: 'cut' }));
    await expect.poll(() => cut.length).toBe(1);
    await listeners.pop()?.stop({ drainMs: 1 });
    const next = await listen('cut');
    await expect.poll(() => next).toMatchObject([{ eventType: 'cut' }]);
  });

  it('drops repeats and messages that are none, and goes on', async () => {
    const bad: string[] = [];
    const seen = await listen('guard', { prefetch: 1, onBadMessage: (reason) => bad.push(reason) });
    const raw = await connect(rabbit.url.replace('rabbit://', 'amqp://'));
    const channel = await raw.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'guard', 'guard.info');
    await channel.consume(queue, (message) => {
      if (message === null || message.fields.redelivered) return;
      void channel.cancel(message.fields.consumerTag);
      channel.publish('guard', 'guard.info', Buffer.from('nonsense'));
      channel.publish('guard', 'guard.info', message.content); // what stock sent, once more
    });
    const peer = await stock({ exchange: 'guard' });
    peer.write(JSON.stringify({ priority: 'info', event: 'once' }));
    await expect.poll(() => bad).toEqual(['not-json']);
    peer.write(JSON.stringify({ priority: 'info', event: 'last' }));
    await expect.poll(() => seen.at(-1)?.eventType).toBe('last');
    expect(seen.map(({ eventType }) => eventType)).toEqual(['once', 'last']);
    await raw.close();
  });

  it('goes on after a broker restart that lost every queue', async () => {
    const seen = await listen('restart');
    const notifier = createNotifier({ transport, exchange: 'restart', topics: ['restart'], publisherId: 'dpu.h1' });
    await notifier.info('before', {});
    await expect.poll(() => seen.length).toBe(1);
    await rabbit.restart({ wipe: true });
    await notifier.info('after', {}); // waits for the connection, and declares the queue again if need be
    await expect.poll(() => seen.map(({ eventType }) => eventType), { timeout: 20_000 }).toEqual(['before', 'after']);
    await notifier.close();
  }, 60_000);
});
