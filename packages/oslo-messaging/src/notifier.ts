import { randomUUID } from 'node:crypto';
import { ClosedError } from './errors.ts';
import { encodeNotification, type NotificationPriority } from './notification.ts';
import { createPublisher } from './publisher.ts';
import { newId } from './replier.ts';
import { deadline } from './signals.ts';
import { type QueueFlags, topicExchange } from './topology.ts';
import type { Transport } from './transport.ts';

/** Options of createNotifier. */
export type NotifierOptions = QueueFlags & {
  readonly transport: Transport;
  /** Control exchange, for example `nova`. */
  readonly exchange: string;
  /** Each notification goes to all of them. Default `notifications` alone. */
  readonly topics?: readonly string[];
  /** Who tells, for example `compute.host-1`. */
  readonly publisherId: string;
  /**
   * Names of the request context that are sent; the rest, above all `auth_token`, is left out, as anyone may read the bus.
   * Default: who asked and for what project, as oslo.messaging's notifier has it.
   */
  readonly contextFields?: readonly string[];
};

/** What may be said of one notification. */
export type NotifyOptions = {
  readonly publisherId?: string;
  /** Request context; see `contextFields`. */
  readonly context?: Readonly<Record<string, unknown>>;
  /** For connection and confirms, in ms. Default 30000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

/**
 * Tells of one event; resolves when the broker has it in a queue of every topic.
 * @throws MessagingTimeout, ConnectionLostError (it may or may not have arrived), FlagsMismatchError, RefusedError, UnroutableError,
 * EncodeError, ClosedError, or the signal's reason
 */
export type Notify = (eventType: string, payload: unknown, options?: NotifyOptions) => Promise<void>;

/** Sends notifications: one function for each priority. */
export type Notifier = Readonly<Record<NotificationPriority, Notify>> & {
  /** Ends the channel. May be called twice. */
  close(): Promise<void>;
};

/** Names of oslo.context's RequestContext that hold no secret. */
const identityFields = [
  ...['request_id', 'global_request_id', 'is_admin', 'roles', 'system_scope', 'user', 'domain'],
  ...['user_id', 'user_name', 'user_domain', 'user_domain_id', 'user_domain_name', 'domain_id', 'domain_name'],
  ...['project_id', 'project_name', 'project_domain', 'project_domain_id', 'project_domain_name'],
  ...['service_user_id', 'service_user_domain_id', 'service_user_domain_name', 'service_roles'],
  ...['service_project_id', 'service_project_name', 'service_project_domain_id', 'service_project_domain_name'],
];

/**
 * Sends notifications as oslo.messaging's notifier with driver `messagingv2` does: to `<topic>.<priority>` of the exchange, where a
 * queue of that name is declared first, so that none is lost while nobody listens.
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const publisher = createPublisher(options.transport);
  const exchange = topicExchange(options.exchange, options);
  const fields = new Set(options.contextFields ?? identityFields);
  let closing: Promise<void> | undefined;

  function notify(priority: NotificationPriority): Notify {
    return async (eventType, payload, how = {}) => {
      if (closing !== undefined) throw new ClosedError();
      const event = {
        messageId: randomUUID(),
        publisherId: how.publisherId ?? options.publisherId,
        eventType,
        priority,
        payload,
        timestamp: new Date().toISOString().replace('T', ' ').replace('Z', '000'),
        context: Object.fromEntries(Object.entries(how.context ?? {}).filter(([name]) => fields.has(name))),
      };
      // Written down before anything is awaited, so that a later change of the payload is not sent.
      const messages = (options.topics ?? ['notifications']).map((topic) => ({
        exchange,
        routingKey: `${topic}.${priority}`,
        body: encodeNotification({ ...event, uniqueId: newId() }),
        mandatory: true,
        queue: options,
      }));
      const limit = deadline(how.timeoutMs ?? 30_000, `notification ${eventType}`, how.signal);
      try {
        await Promise.all(messages.map((message) => publisher.publish(message, limit.signal)));
      } finally {
        limit.clear();
      }
    };
  }

  return {
    audit: notify('audit'),
    debug: notify('debug'),
    info: notify('info'),
    warn: notify('warn'),
    error: notify('error'),
    critical: notify('critical'),
    sample: notify('sample'),
    close() {
      closing ??= publisher.close();
      return closing;
    },
  };
}
