import type { ConfirmChannel, Message } from 'amqplib';
import { keepChannel } from './channel-keeper.ts';
import {
  ClosedError,
  ConnectionLostError,
  explainRefusal,
  MessagingError,
  RefusedError,
  UnroutableError,
} from './errors.ts';
import { withSignal } from './signals.ts';
import { declareExchange, declareTopicQueue, type ExchangeSpec, type QueueFlags } from './topology.ts';
import type { Transport } from './transport.ts';

/** One message to send. */
export type Outgoing = {
  /** Null: the default exchange, routing key = queue name. */
  readonly exchange: ExchangeSpec | null;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly mandatory: boolean;
  /** Declare a queue named by the routing key first, with these flags, and bind it by that key. */
  readonly queue?: QueueFlags;
  /** Time to live in the queue, in ms. */
  readonly expirationMs?: number;
};

/** Sends messages with publisher confirms. */
export type Publisher = {
  /**
   * Resolves when the broker confirmed and, if `mandatory`, some queue took the message. Waits for a connection as long as the
   * signal allows. Messages reach a queue in the order of the calls.
   * @throws UnroutableError, ConnectionLostError, RefusedError, FlagsMismatchError, ClosedError, or the signal's reason
   */
  publish(message: Outgoing, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type Pending = { readonly message: Outgoing; returned: boolean };

/** Opens a publisher on a channel of its own. */
export function createPublisher(transport: Transport): Publisher {
  const pending = new Set<Pending>();
  const declared = new WeakMap<ConfirmChannel, Map<string, Promise<void>>>();
  const closedChannels = new WeakSet<ConfirmChannel>();
  let closed = false;
  const keeper = keepChannel(transport, async (channel) => {
    declared.set(channel, new Map());
    channel.on('close', () => closedChannels.add(channel));
    channel.on('return', (message: Message) => {
      // Bodies differ by their unique id, so the body tells which message came back; it comes before its confirm.
      for (const entry of pending) if (entry.message.body.equals(message.content)) entry.returned = true;
    });
  });

  async function declare(channel: ConfirmChannel, exchange: ExchangeSpec): Promise<void> {
    const known = declared.get(channel);
    const before = known?.get(exchange.name);
    // An auto-delete exchange may have gone since.
    if (before !== undefined && !exchange.autoDelete) return await before;
    const now = declareExchange(channel, exchange);
    known?.set(exchange.name, now);
    await now;
  }

  /** Declares the routing key's own queue once on each channel, or `anew` when it turned out to be gone. */
  async function declareQueue(channel: ConfirmChannel, message: Outgoing, anew: boolean): Promise<void> {
    const { exchange, routingKey, queue } = message;
    if (exchange === null || queue === undefined) return;
    const known = declared.get(channel);
    const key = `${exchange.name} ${routingKey}`;
    const before = anew ? undefined : known?.get(key);
    if (before !== undefined) return await before;
    const now = declareTopicQueue(channel, exchange.name, routingKey, queue);
    known?.set(key, now);
    await now;
  }

  async function send(channel: ConfirmChannel, message: Outgoing): Promise<void> {
    const { exchange, routingKey, body, mandatory, expirationMs } = message;
    const entry: Pending = { message, returned: false };
    const confirmed = Promise.withResolvers<void>();
    pending.add(entry);
    try {
      channel.publish(
        exchange?.name ?? '',
        routingKey,
        body,
        {
          contentType: 'application/json',
          contentEncoding: 'utf-8',
          headers: {},
          deliveryMode: 2,
          priority: 0,
          mandatory,
          ...(expirationMs === undefined ? {} : { expiration: String(Math.max(1, Math.round(expirationMs))) }),
        },
        (error) => (error === null ? confirmed.resolve() : confirmed.reject(error)),
      );
      await confirmed.promise.catch((error: unknown) => {
        // A nack, or the channel's end: amqplib tells both by the same callback.
        throw closedChannels.has(channel) ? new ConnectionLostError(undefined, { cause: error }) : new RefusedError();
      });
    } finally {
      pending.delete(entry);
    }
    if (entry.returned) throw new UnroutableError(exchange?.name ?? '', routingKey);
  }

  async function sendToQueue(channel: ConfirmChannel, message: Outgoing, signal: AbortSignal): Promise<void> {
    try {
      await send(channel, message);
    } catch (error) {
      if (message.queue === undefined || !(error instanceof UnroutableError)) throw error;
      await declareQueue(channel, message, true); // somebody deleted the queue since
      signal.throwIfAborted();
      await send(channel, message);
    }
  }

  return {
    async publish(message, signal) {
      if (closed) throw new ClosedError();
      signal.throwIfAborted();
      const channel = keeper.current ?? (await keeper.ready(signal));
      const work = (async () => {
        try {
          if (message.exchange !== null) await declare(channel, message.exchange);
          await declareQueue(channel, message, false);
          signal.throwIfAborted();
          await sendToQueue(channel, message, signal);
        } catch (cause) {
          const error = explainRefusal(cause);
          if (closed) throw new ClosedError();
          if (error instanceof MessagingError || signal.aborted) throw error;
          throw new ConnectionLostError(undefined, { cause: error }); // an operation on a channel that is closed or closing
        }
      })();
      await withSignal(work, signal);
    },
    async close() {
      closed = true;
      await keeper.close();
    },
  };
}
