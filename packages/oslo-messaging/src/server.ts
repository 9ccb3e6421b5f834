import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { type ChannelKeeper, keepChannel } from './channel-keeper.ts';
import { decodeRequest, type Request } from './codec.ts';
import { type Endpoint, findHandler } from './dispatcher.ts';
import type { BadMessageReason, DecodeLimits, ReplyTo } from './envelope.ts';
import { badRequest, type FailureParts, toFailureParts } from './failure.ts';
import { createPublisher } from './publisher.ts';
import { createRecentIds } from './recent-ids.ts';
import { createReplier, newId, type Outcome } from './replier.ts';
import { pause, withSignal } from './signals.ts';
import { declareFanoutQueue, declareTopicQueue, type QueueFlags } from './topology.ts';
import type { Transport } from './transport.ts';

/** Options of createRpcServer. */
export type RpcServerOptions = QueueFlags &
  DecodeLimits & {
    readonly transport: Transport;
    /** Control exchange, for example `nova`. */
    readonly exchange: string;
    /** For example `compute`. */
    readonly topic: string;
    /** Name of this server on the topic: the host. */
    readonly server: string;
    readonly endpoints: readonly Endpoint[];
    /** Messages that are delivered and not yet acknowledged, per queue. Default 100; 0 is no limit. */
    readonly prefetch?: number;
    /** How many ids of answered messages are remembered to drop repeats. Default 1024. */
    readonly rememberIds?: number;
    /** How long an answer is tried while broker or reply queue are away, in ms. Default 60000. */
    readonly replyRetryMs?: number;
    /** What the caller sees of an error; default: an RpcFailure as it is, anything else as a constant text. */
    readonly toFailure?: (error: unknown) => FailureParts;
    /** Told of each message that was not understood; it is acknowledged and dropped. */
    readonly onBadMessage?: (reason: BadMessageReason) => void;
    /** Told of each error that a handler threw, for logs. */
    readonly onHandlerError?: (error: unknown, request: Pick<Request, 'method' | 'uniqueId' | 'context'>) => void;
  };

/** A server that consumes until `stop`. */
export type RpcServer = {
  /** Resolves once queues are declared and consumed for the first time. @throws the signal's reason, ClosedError */
  ready(signal?: AbortSignal): Promise<void>;
  /** Requests that run now. */
  readonly running: number;
  /**
   * Takes no more requests, removes its fanout queue, waits up to `drainMs` (default 10000) for handlers and their answers,
   * then aborts their signal and closes. Requests that were not acknowledged go back to their queue. May be called twice.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>;
};

type Delivery = { readonly channel: ConfirmChannel; readonly message: ConsumeMessage };
/** A request in work. Deliveries of the same message that come meanwhile join it and are acknowledged with it. */
type Execution = { acked: boolean; readonly deliveries: Delivery[] };

/**
 * Serves RPC requests of a topic as oslo.messaging's RPC server does, on the queues `topic`, `topic.server` and a fanout queue
 * of its own. Differences: a request is acknowledged when the handler calls `ctx.ack()` or when it was answered, whichever is
 * first (at least once; oslo acknowledges before it executes), and no traceback is sent. Queues are declared again after
 * each loss of the connection.
 */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { transport, exchange, topic, server } = options;
  const { logger } = transport;
  const fanoutQueue = `${topic}_fanout_${newId()}`;
  const aborting = new AbortController();
  const publisher = createPublisher(transport);
  const replier = createReplier(transport, publisher, options.replyRetryMs ?? 60_000, aborting.signal);
  const answered = createRecentIds(options.rememberIds ?? 1024);
  const byId = new Map<string, Execution>();
  const work = new Set<Promise<void>>();
  const toFailure = options.toFailure ?? toFailureParts;
  let stopping: Promise<void> | undefined;
  let consumerTags: string[] = [];
  /** The channel that deliveries are acknowledged on; set before it consumes, for a fast handler. */
  let consuming: ConfirmChannel | undefined;

  const keeper: ChannelKeeper = keepChannel(transport, setup);

  async function setup(channel: ConfirmChannel): Promise<void> {
    consumerTags = [];
    consuming = channel;
    await channel.prefetch(options.prefetch ?? 100, false);
    await declareTopicQueue(channel, exchange, topic, options);
    await declareTopicQueue(channel, exchange, `${topic}.${server}`, options);
    await declareFanoutQueue(channel, topic, fanoutQueue, options);
    for (const queue of [topic, `${topic}.${server}`, fanoutQueue]) {
      const consumer = await channel.consume(queue, (message) => {
        if (message !== null) receive({ channel, message });
        else if (stopping === undefined) {
          logger.warn({ queue }, 'the broker cancelled a consumer');
          keeper.renew(channel); // the queue was deleted: declare it again
        }
      });
      consumerTags.push(consumer.consumerTag);
    }
    logger.info({ exchange, topic, server }, 'RPC server consumes');
  }

  function receive(delivery: Delivery): void {
    if (stopping !== undefined) return; // goes back to its queue when the channel closes
    const decoded = decodeRequest(delivery.message.content, options);
    if (decoded.ok) accept(delivery, decoded.value);
    else refuse(delivery, decoded.reason, decoded.reply);
  }

  function refuse(delivery: Delivery, reason: BadMessageReason, reply: ReplyTo | null): void {
    logger.warn({ reason, bytes: delivery.message.content.length }, 'bad RPC message');
    guard(() => options.onBadMessage?.(reason));
    if (reply === null) {
      acknowledge(delivery);
      return;
    }
    track(replier.answer(reply, { ok: false, failure: badRequest(reason) }).then(() => acknowledge(delivery)));
  }

  function accept(delivery: Delivery, request: Request): void {
    const { uniqueId } = request;
    if (uniqueId !== null) {
      const same = byId.get(uniqueId);
      if (same !== undefined) {
        if (same.acked) acknowledge(delivery);
        else same.deliveries.push(delivery);
        return;
      }
      if (answered.has(uniqueId)) {
        logger.debug({ uniqueId }, 'repeated message dropped');
        acknowledge(delivery);
        return;
      }
    }
    const execution: Execution = { acked: false, deliveries: [delivery] };
    if (uniqueId !== null) byId.set(uniqueId, execution);
    track(execute(request, execution, delivery.message.fields.redelivered));
  }

  async function execute(request: Request, execution: Execution, redelivered: boolean): Promise<void> {
    const ack = () => {
      execution.acked = true;
      for (const delivery of execution.deliveries.splice(0)) acknowledge(delivery);
    };
    const outcome = await withHeartbeats(request, () => run(request, ack, redelivered));
    const end = request.reply === null ? 'sent' : await replier.answer(request.reply, outcome);
    if (request.uniqueId !== null) byId.delete(request.uniqueId);
    // Not delivered for want of a broker: a redelivery is to be served again, unless the handler took it over.
    // The same for a handler that was cut short by stop.
    if ((end === 'failed' || aborting.signal.aborted) && !execution.acked) return;
    if (request.uniqueId !== null) answered.add(request.uniqueId);
    ack();
  }

  async function run(request: Request, ack: () => void, redelivered: boolean): Promise<Outcome> {
    const { method, version, context, reply, uniqueId, timeoutSec, args } = request;
    try {
      const handler = findHandler(options.endpoints, request);
      const kind = reply === null ? 'cast' : 'call';
      const { signal } = aborting;
      const ctx = { method, version, context, kind, uniqueId, timeoutSec, redelivered, signal, ack } as const;
      return { ok: true, result: await handler(args, ctx) };
    } catch (error) {
      logger.debug({ method, uniqueId }, 'RPC request failed');
      guard(() => options.onHandlerError?.(error, { method, uniqueId, context }));
      try {
        return { ok: false, failure: toFailure(error) };
      } catch {
        return { ok: false, failure: toFailureParts(error) }; // a broken toFailure must not lose the answer
      }
    }
  }

  /** Runs `handle`, with heartbeats meanwhile if the caller asked for them; none comes after the answer. */
  async function withHeartbeats(request: Request, handle: () => Promise<Outcome>): Promise<Outcome> {
    const { reply, timeoutSec, method } = request;
    if (reply === null || timeoutSec === null) return await handle();
    const finished = new AbortController();
    const heartbeats = sendHeartbeats(reply, timeoutSec, method, AbortSignal.any([finished.signal, aborting.signal]));
    const outcome = await handle();
    finished.abort();
    await heartbeats;
    return outcome;
  }

  async function sendHeartbeats(
    reply: ReplyTo,
    timeoutSec: number,
    method: string,
    finished: AbortSignal,
  ): Promise<void> {
    // Longer than an hour is no monitoring, and timers end at 2^31 ms.
    const everyMs = Math.min(timeoutSec * 500, 3_600_000);
    for (;;) {
      await pause(everyMs, finished);
      if (finished.aborted) return;
      try {
        await replier.heartbeat(reply, finished);
      } catch (error) {
        // Next time may do: the broker is away, or the caller's queue is. The answer itself is tried again, too.
        if (!finished.aborted) logger.debug({ err: error, method }, 'call-monitor heartbeat not delivered');
      }
    }
  }

  function acknowledge({ channel, message }: Delivery): void {
    if (consuming !== channel) return; // that channel is gone; the broker delivers the message again
    try {
      channel.ack(message);
    } catch (error) {
      logger.debug({ err: error }, 'acknowledgement on a closing channel');
    }
  }

  function track(promise: Promise<void>): void {
    const done = promise
      .catch((error: unknown) => logger.error({ err: error }, 'RPC request not finished'))
      .finally(() => work.delete(done));
    work.add(done);
  }

  function guard(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      logger.error({ err: error }, 'hook failed');
    }
  }

  async function shutDown(drainMs: number): Promise<void> {
    const channel = keeper.current;
    if (channel !== undefined) {
      try {
        const limit = AbortSignal.timeout(3000);
        for (const tag of consumerTags) await withSignal(channel.cancel(tag), limit);
        await withSignal(channel.deleteQueue(fanoutQueue), limit);
      } catch (error) {
        logger.debug({ err: error }, 'consumers not cancelled'); // the connection is gone, and they with it
      }
    }
    const drained = new AbortController();
    const all = Promise.allSettled([...work]).then(() => drained.abort());
    await Promise.race([all, pause(drainMs, drained.signal)]);
    aborting.abort(new Error('the server is stopped'));
    await keeper.close();
    await publisher.close();
  }

  return {
    async ready(signal = new AbortController().signal) {
      await keeper.ready(signal);
    },
    get running() {
      return work.size;
    },
    stop({ drainMs = 10_000 } = {}) {
      stopping ??= shutDown(drainMs);
      return stopping;
    },
  };
}
