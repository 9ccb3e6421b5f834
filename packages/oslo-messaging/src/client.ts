import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { type ChannelKeeper, keepChannel } from './channel-keeper.ts';
import { decodeReply, encodeRequest, type Reply, type Request } from './codec.ts';
import { isVersionCompatible } from './dispatcher.ts';
import type { DecodeLimits } from './envelope.ts';
import { ClosedError, MessagingTimeout, VersionCapError } from './errors.ts';
import { type AllowedModules, decodeFailure, recreateError } from './failure.ts';
import { createLateAcks, type LateAcks } from './late-acks.ts';
import { createPublisher } from './publisher.ts';
import { newId } from './replier.ts';
import { deadline, withSignal } from './signals.ts';
import { declareReplyQueue, fanoutExchange, type QueueFlags, topicExchange } from './topology.ts';
import type { Transport } from './transport.ts';

/** Options of createRpcClient; version, namespace and server are defaults for each call. */
export type RpcClientOptions = QueueFlags &
  DecodeLimits & {
    readonly transport: Transport;
    readonly exchange: string;
    readonly topic: string;
    readonly server?: string;
    /** Default `1.0`. */
    readonly version?: string;
    readonly namespace?: string;
    /** Highest version the servers may be asked for; a call or cast beyond it fails with VersionCapError. Default: none. */
    readonly versionCap?: string;
    /** Error classes for failures of these modules and classes; any other failure is a RemoteError. Default: none. */
    readonly allowedModules?: AllowedModules;
    /** Request context for calls that give none. */
    readonly context?: Readonly<Record<string, unknown>>;
  };

/** What a call and a cast have in common. */
export type SendOptions = {
  /** Only this server of the topic; else any one. */
  readonly server?: string;
  readonly version?: string;
  readonly namespace?: string;
  readonly signal?: AbortSignal;
  /** Request context, sent as `_context_` fields. */
  readonly context?: Readonly<Record<string, unknown>>;
  /** Fail with UnroutableError when no queue takes the message. Default false. */
  readonly mandatory?: boolean;
  /** Id by which the receiver drops repeats; give the same again when repeating after ConnectionLostError. Default: a new one. */
  readonly uniqueId?: string;
};

/** Options of a call. */
export type CallOptions = SendOptions & {
  /** For all of it, in ms. Default 60000. */
  readonly timeoutMs?: number;
  /** Ask the server for heartbeats; the call fails when none comes for so many seconds (a whole number). */
  readonly callMonitorTimeoutSec?: number;
};

/** Options of a cast. */
export type CastOptions = SendOptions & {
  /** To every server of the topic. */
  readonly fanout?: boolean;
  /** For connection and confirm, in ms. Default 30000. */
  readonly timeoutMs?: number;
};

/** Arguments of a method by name. */
export type Args = Readonly<Record<string, unknown>>;

/** Sends requests to the servers of a topic. */
export type RpcClient = {
  /**
   * Resolves with the result.
   * @throws RemoteError (or a class of `allowedModules`), MessagingTimeout, UnroutableError, ConnectionLostError (before the
   * broker confirmed), FlagsMismatchError, VersionCapError, EncodeError, ClosedError, or the signal's reason
   */
  call(method: string, args: Args, options?: CallOptions): Promise<unknown>;
  /**
   * Resolves when the broker confirmed; with `mandatory` also that a queue took it.
   * @throws as call, but RemoteError
   */
  cast(method: string, args: Args, options?: CastOptions): Promise<void>;
  /** Whether the client's `versionCap` lets this version be sent; for a choice between a new and an old form of a call. */
  canSendVersion(version: string): boolean;
  /** Ends waiting calls with ClosedError and deletes the reply queue. May be called twice. */
  close(): Promise<void>;
};

type Waiter = { onReply(reply: Reply): void; onClosed(): void };

/** Makes a client. Its reply queue is declared at the first call and again after each loss of the connection. */
export function createRpcClient(options: RpcClientOptions): RpcClient {
  const { transport, topic } = options;
  const publisher = createPublisher(transport);
  const replyQueue = `reply_${newId()}`;
  const allowed = options.allowedModules ?? {};
  const waiters = new Map<string, Waiter>();
  let replies: ChannelKeeper | undefined;
  let lateAcks: LateAcks | undefined;
  let closing: Promise<void> | undefined;

  async function setupReplies(channel: ConfirmChannel): Promise<void> {
    await declareReplyQueue(channel, replyQueue, options);
    const acks = createLateAcks(channel);
    lateAcks = acks;
    channel.once('close', acks.drop);
    await channel.consume(replyQueue, (message) => {
      if (message !== null) receive(acks, message);
      else if (closing === undefined) replies?.renew(channel); // somebody deleted the queue
    });
  }

  function receive(acks: LateAcks, message: ConsumeMessage): void {
    acks.add(message); // a reply that comes again is dropped as a late one
    const decoded = decodeReply(message.content, options);
    if (!decoded.ok) {
      transport.logger.warn({ reason: decoded.reason }, 'bad RPC reply');
      return;
    }
    const waiter = waiters.get(decoded.value.msgId);
    if (waiter === undefined) transport.logger.debug({ msgId: decoded.value.msgId }, 'late RPC reply dropped');
    else waiter.onReply(decoded.value);
  }

  /** oslo's rule: the cap serves what an endpoint of that version would serve. */
  function canSendVersion(version: string): boolean {
    return options.versionCap === undefined || isVersionCompatible(options.versionCap, version);
  }

  function makeRequest(method: string, args: Args, send: SendOptions): Request {
    const version = send.version ?? options.version ?? '1.0';
    if (!canSendVersion(version)) throw new VersionCapError(version, options.versionCap ?? '');
    return {
      method,
      args,
      version,
      namespace: send.namespace ?? options.namespace ?? null,
      uniqueId: send.uniqueId ?? newId(),
      reply: null,
      timeoutSec: null,
      context: send.context ?? options.context ?? {},
    };
  }

  function route(send: CastOptions) {
    if (send.fanout) return { exchange: fanoutExchange(topic), routingKey: '' };
    const server = send.server ?? options.server;
    const routingKey = server === undefined ? topic : `${topic}.${server}`;
    return { exchange: topicExchange(options.exchange, options), routingKey };
  }

  return {
    async call(method, args, send = {}) {
      if (closing !== undefined) throw new ClosedError();
      const msgId = newId();
      const timeoutSec = send.callMonitorTimeoutSec ?? null;
      const body = encodeRequest({ ...makeRequest(method, args, send), reply: { msgId, replyQueue }, timeoutSec });
      const timeoutMs = send.timeoutMs ?? 60_000;
      const limit = deadline(timeoutMs, `call ${method}`, send.signal);
      const startedAt = performance.now();
      const answer = Promise.withResolvers<unknown>();
      answer.promise.catch(() => {}); // awaited below, unless sending fails first
      const monitor = monitorTimer(timeoutSec, () => {
        answer.reject(new MessagingTimeout(`call ${method}: no heartbeat in ${timeoutSec} s`));
      });
      waiters.set(msgId, {
        onReply(reply) {
          if (!reply.ending) monitor.restart();
          else if (reply.failure !== null) answer.reject(recreateError(decodeFailure(reply.failure), allowed));
          else answer.resolve(reply.result);
        },
        onClosed: () => answer.reject(new ClosedError()),
      });
      try {
        replies ??= keepChannel(transport, setupReplies);
        await replies.ready(limit.signal);
        const expirationMs = timeoutMs - (performance.now() - startedAt);
        const outgoing = {
          ...route({ ...send, fanout: false }),
          body,
          mandatory: send.mandatory ?? false,
          expirationMs,
        };
        // An answer says more than the broker's confirm, so a confirm that is behind is not waited for.
        const confirmed = publisher.publish(outgoing, limit.signal).then(() => {
          if (waiters.has(msgId)) monitor.restart();
          return answer.promise;
        });
        return await withSignal(Promise.race([answer.promise, confirmed]), limit.signal);
      } finally {
        waiters.delete(msgId);
        limit.clear();
        monitor.clear();
      }
    },
    async cast(method, args, send = {}) {
      if (closing !== undefined) throw new ClosedError();
      const body = encodeRequest(makeRequest(method, args, send));
      const limit = deadline(send.timeoutMs ?? 30_000, `cast ${method}`, send.signal);
      try {
        await publisher.publish({ ...route(send), body, mandatory: send.mandatory ?? false }, limit.signal);
      } finally {
        limit.clear();
      }
    },
    canSendVersion,
    close() {
      closing ??= (async () => {
        for (const waiter of waiters.values()) waiter.onClosed();
        lateAcks?.drop(); // they go with the queue
        await replies?.current?.deleteQueue(replyQueue).catch(() => {}); // else it expires by itself
        await replies?.close();
        await publisher.close();
      })();
      return closing;
    },
  };
}

function monitorTimer(seconds: number | null, onEnd: () => void): { restart(): void; clear(): void } {
  let timer: NodeJS.Timeout | undefined;
  const clear = () => clearTimeout(timer);
  return {
    clear,
    restart() {
      clear();
      if (seconds !== null) timer = setTimeout(onEnd, Math.min(seconds * 1000, 2 ** 31 - 1));
    },
  };
}
