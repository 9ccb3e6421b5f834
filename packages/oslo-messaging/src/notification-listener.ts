import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { keepChannel } from './channel-keeper.ts';
import type { BadMessageReason, DecodeLimits } from './envelope.ts';
import {
  decodeNotification,
  type Notification,
  type NotificationPriority,
  notificationPriorities,
} from './notification.ts';
import { createRecentIds } from './recent-ids.ts';
import { pause, withSignal } from './signals.ts';
import { declareTopicQueue, type QueueFlags } from './topology.ts';
import type { Transport } from './transport.ts';

/** What a handler knows of the delivery. */
export type NotificationContext = {
  /** Whether the broker said that this message may have been delivered before. */
  readonly redelivered: boolean;
  /** Aborts when the listener is stopped and the drain time is over. */
  readonly signal: AbortSignal;
};

/**
 * Takes one notification. `'requeue'` or an error gives it back to the queue, if the listener's `allowRequeue` is set; anything else
 * acknowledges it.
 */
export type NotificationHandler = (notification: Notification, ctx: NotificationContext) => Promise<unknown>;

/** Options of createNotificationListener. */
export type NotificationListenerOptions = QueueFlags &
  DecodeLimits & {
    readonly transport: Transport;
    /** Where to listen. */
    readonly targets: readonly { readonly exchange: string; readonly topic: string }[];
    /** The priorities listened to are those with a handler. */
    readonly handlers: Readonly<Partial<Record<NotificationPriority, NotificationHandler>>>;
    /**
     * Listeners of one pool share its queue, and each pool gets every notification. Default: no pool, but the queues
     * `<topic>.<priority>`, which all listeners without a pool share.
     */
    readonly pool?: string;
    /** Whether a handler may give a notification back. Default false, as in oslo.messaging: what a handler threw is told, and it is dropped. */
    readonly allowRequeue?: boolean;
    /** Pause before one is given back, in ms, so that what cannot be handled now does not spin. Default 1000. */
    readonly requeueDelayMs?: number;
    /** Notifications that are handled at a time, per queue; 1 keeps their order. Default 100. */
    readonly prefetch?: number;
    /** How many ids of handled notifications are remembered to drop repeats. Default 1024. */
    readonly rememberIds?: number;
    /** Told of each message that was not understood; it is acknowledged and dropped. */
    readonly onBadMessage?: (reason: BadMessageReason) => void;
    /** Told of each error that a handler threw, for logs. */
    readonly onHandlerError?: (error: unknown, notification: Notification) => void;
  };

/** A listener that consumes until `stop`. */
export type NotificationListener = {
  /** Resolves once queues are declared and consumed for the first time. @throws the signal's reason, ClosedError */
  ready(signal?: AbortSignal): Promise<void>;
  /**
   * Takes no more notifications, waits up to `drainMs` (default 10000) for handlers, then aborts their signal and closes. Those
   * that were not acknowledged go back to their queue. May be called twice.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>;
};

type Delivery = { readonly channel: ConfirmChannel; readonly message: ConsumeMessage };
type Verdict = 'ack' | 'requeue';

/**
 * Listens for notifications as oslo.messaging's notification listener does. A notification is acknowledged after its handler, so
 * it is handled at least once; repeats within this process are dropped by `_unique_id`. Queues are declared again after each loss.
 */
export function createNotificationListener(options: NotificationListenerOptions): NotificationListener {
  const { transport, handlers, pool } = options;
  const { logger } = transport;
  const priorities = notificationPriorities.filter((priority) => handlers[priority] !== undefined);
  const aborting = new AbortController();
  const stoppingSignal = new AbortController();
  const handled = createRecentIds(options.rememberIds ?? 1024);
  /** Deliveries of each notification in work; what is delivered again meanwhile joins. */
  const inWork = new Map<string, Delivery[]>();
  const work = new Set<Promise<void>>();
  let stopping: Promise<void> | undefined;
  let consumerTags: string[] = [];
  let consuming: ConfirmChannel | undefined;

  const keeper = keepChannel(transport, setup);

  async function setup(channel: ConfirmChannel): Promise<void> {
    consumerTags = [];
    consuming = channel;
    await channel.prefetch(options.prefetch ?? 100, false);
    const queues = new Set<string>();
    for (const { exchange, topic } of options.targets) {
      for (const priority of priorities) {
        const key = `${topic}.${priority}`;
        await declareTopicQueue(channel, exchange, pool ?? key, options, key);
        queues.add(pool ?? key);
      }
    }
    for (const queue of queues) {
      const consumer = await channel.consume(queue, (message) => {
        if (message !== null) receive({ channel, message });
        else if (stopping === undefined) {
          logger.warn({ queue }, 'the broker cancelled a consumer');
          keeper.renew(channel); // the queue was deleted: declare it again
        }
      });
      consumerTags.push(consumer.consumerTag);
    }
    logger.info({ queues: [...queues] }, 'notification listener consumes');
  }

  function receive(delivery: Delivery): void {
    if (stopping !== undefined) return; // goes back to its queue when the channel closes
    const decoded = decodeNotification(delivery.message.content, options);
    if (!decoded.ok) {
      logger.warn({ reason: decoded.reason, bytes: delivery.message.content.length }, 'bad notification');
      guard(() => options.onBadMessage?.(decoded.reason));
      settle(delivery, 'ack');
      return;
    }
    const { uniqueId } = decoded.value;
    const joined = uniqueId === null ? undefined : inWork.get(uniqueId);
    if (joined !== undefined) joined.push(delivery);
    else if (uniqueId !== null && handled.has(uniqueId)) settle(delivery, 'ack');
    else start(decoded.value, delivery);
  }

  function start(notification: Notification, delivery: Delivery): void {
    const { uniqueId } = notification;
    const deliveries = [delivery];
    if (uniqueId !== null) inWork.set(uniqueId, deliveries);
    const done = handle(notification, delivery.message.fields.redelivered).then((verdict) => {
      if (uniqueId !== null) inWork.delete(uniqueId);
      work.delete(done);
      if (aborting.signal.aborted) return; // cut short: the channel's end gives it back
      if (uniqueId !== null && verdict === 'ack') handled.add(uniqueId);
      for (const each of deliveries) settle(each, verdict);
    });
    work.add(done);
  }

  async function handle(notification: Notification, redelivered: boolean): Promise<Verdict> {
    let again = false;
    try {
      const handler = handlers[notification.priority];
      again = (await handler?.(notification, { redelivered, signal: aborting.signal })) === 'requeue';
    } catch (error) {
      again = true;
      guard(() => options.onHandlerError?.(error, notification));
    }
    if (!again || !options.allowRequeue) return 'ack';
    await pause(options.requeueDelayMs ?? 1000, stoppingSignal.signal);
    return 'requeue';
  }

  function settle({ channel, message }: Delivery, verdict: Verdict): void {
    if (consuming !== channel) return; // that channel is gone; the broker delivers the message again
    try {
      if (verdict === 'ack') channel.ack(message);
      else channel.reject(message, true);
    } catch (error) {
      logger.debug({ err: error }, 'acknowledgement on a closing channel');
    }
  }

  function guard(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      logger.error({ err: error }, 'hook failed');
    }
  }

  async function shutDown(drainMs: number): Promise<void> {
    stoppingSignal.abort();
    const channel = keeper.current;
    try {
      const limit = AbortSignal.timeout(3000);
      if (channel !== undefined) for (const tag of consumerTags) await withSignal(channel.cancel(tag), limit);
    } catch (error) {
      logger.debug({ err: error }, 'consumers not cancelled'); // the connection is gone, and they with it
    }
    const drained = new AbortController();
    const all = Promise.allSettled([...work]).then(() => drained.abort());
    await Promise.race([all, pause(drainMs, drained.signal)]);
    aborting.abort(new Error('the listener is stopped'));
    await keeper.close();
  }

  return {
    async ready(signal = new AbortController().signal) {
      await keeper.ready(signal);
    },
    stop({ drainMs = 10_000 } = {}) {
      stopping ??= shutDown(drainMs);
      return stopping;
    },
  };
}
