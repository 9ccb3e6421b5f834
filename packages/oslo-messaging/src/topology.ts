import type { ConfirmChannel, Options } from 'amqplib';

/** Flags that must equal what the other side declares, or the broker answers 406 PRECONDITION_FAILED. */
export type QueueFlags = {
  /** oslo's `amqp_durable_queues`. Default false. */
  readonly durableQueues?: boolean;
  /** oslo's `amqp_auto_delete`. Default false. */
  readonly autoDelete?: boolean;
  /** oslo's `rabbit_quorum_queue`. Default false. */
  readonly quorumQueues?: boolean;
  /** oslo's `rabbit_transient_queues_ttl` in seconds; 0 means none. Default 1800. */
  readonly transientQueuesTtlSec?: number;
};

/** An exchange with the flags to declare it with. */
export type ExchangeSpec = {
  readonly name: string;
  readonly type: 'topic' | 'fanout';
  readonly durable: boolean;
  readonly autoDelete: boolean;
};

/** The topic exchange (oslo's control_exchange). */
export function topicExchange(name: string, flags: QueueFlags): ExchangeSpec {
  const durable = (flags.durableQueues ?? false) || (flags.quorumQueues ?? false);
  return { name, type: 'topic', durable, autoDelete: flags.autoDelete ?? false };
}

/** The fanout exchange of a topic: never durable, always auto-delete. Its name does not hold the control exchange's. */
export function fanoutExchange(topic: string): ExchangeSpec {
  return { name: `${topic}_fanout`, type: 'fanout', durable: false, autoDelete: true };
}

/** Declares an exchange. */
export async function declareExchange(channel: ConfirmChannel, exchange: ExchangeSpec): Promise<void> {
  const { name, type, durable, autoDelete } = exchange;
  await channel.assertExchange(name, type, { durable, autoDelete });
}

/** Declares a topic queue (`compute`, `compute.<host>`), its exchange, and binds it by its own name or by `routingKey`. */
export async function declareTopicQueue(
  channel: ConfirmChannel,
  exchangeName: string,
  queue: string,
  flags: QueueFlags,
  routingKey: string = queue,
): Promise<void> {
  const exchange = topicExchange(exchangeName, flags);
  await declareExchange(channel, exchange);
  const options: Options.AssertQueue = { durable: exchange.durable, autoDelete: exchange.autoDelete, exclusive: false };
  if (flags.quorumQueues) options.arguments = { 'x-queue-type': 'quorum' };
  await channel.assertQueue(queue, options);
  await channel.bindQueue(queue, exchangeName, routingKey);
}

/** Declares a server's own fanout queue and binds it to the topic's fanout exchange. */
export async function declareFanoutQueue(
  channel: ConfirmChannel,
  topic: string,
  queue: string,
  flags: QueueFlags,
): Promise<void> {
  await declareExchange(channel, fanoutExchange(topic));
  await channel.assertQueue(queue, transientQueue(flags));
  await channel.bindQueue(queue, fanoutExchange(topic).name, topic);
}

/** Declares a reply queue; replies come by the default exchange. */
export async function declareReplyQueue(channel: ConfirmChannel, queue: string, flags: QueueFlags): Promise<void> {
  await channel.assertQueue(queue, transientQueue(flags));
}

/** Not auto-delete: what is in it survives a short loss of the connection, and the broker drops it after the TTL. */
function transientQueue(flags: QueueFlags): Options.AssertQueue {
  const ttlSec = flags.transientQueuesTtlSec ?? 1800;
  const args = ttlSec > 0 ? { 'x-expires': ttlSec * 1000 } : {};
  return { durable: false, autoDelete: false, exclusive: false, arguments: args };
}
