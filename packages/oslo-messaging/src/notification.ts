import { type Decoded, type DecodeLimits, open, packContext, seal, unpackContext } from './envelope.ts';

/** The priorities of oslo.messaging's notifier, each of which has queues of its own. */
export const notificationPriorities = ['audit', 'debug', 'info', 'warn', 'error', 'critical', 'sample'] as const;

/** One of them. */
export type NotificationPriority = (typeof notificationPriorities)[number];

/** A notification as it is inside the envelope (driver `messagingv2`). */
export type Notification = {
  /** Id of the notification, equal on every topic it is sent to; text, '' when the sender gave none. */
  readonly messageId: string;
  /** Who tells, for example `compute.host-1`. */
  readonly publisherId: string;
  /** What happened, for example `compute.instance.create.end`. */
  readonly eventType: string;
  readonly priority: NotificationPriority;
  readonly payload: unknown;
  /** UTC, as Python writes it: `2026-11-21 05:25:46.650265`. */
  readonly timestamp: string;
  /** Id of this message; null when the sender gave none; then duplicates cannot be told. */
  readonly uniqueId: string | null;
  /** The request context, its names without the `_context_` prefix. */
  readonly context: Readonly<Record<string, unknown>>;
};

/** The AMQP body of a notification. @throws EncodeError when payload or context hold what JSON cannot. */
export function encodeNotification(notification: Notification): Buffer {
  const inner: Record<string, unknown> = {
    message_id: notification.messageId,
    publisher_id: notification.publisherId,
    event_type: notification.eventType,
    priority: notification.priority.toUpperCase(),
    payload: notification.payload ?? null,
    timestamp: notification.timestamp,
  };
  if (notification.uniqueId !== null) inner._unique_id = notification.uniqueId;
  packContext(inner, notification.context);
  return seal(inner);
}

/** Reads a notification, with the envelope (`messagingv2`) or without (`messaging`). Never throws. */
export function decodeNotification(body: Buffer, limits: DecodeLimits = {}): Decoded<Notification> {
  const opened = open(body, limits);
  if (!opened.ok) return opened;
  const inner = opened.value;
  const priority = readPriority(inner.priority);
  if (priority === undefined) return { ok: false, reason: 'bad-priority', reply: null };
  const uniqueId = inner._unique_id ?? null;
  if (uniqueId !== null && (typeof uniqueId !== 'string' || uniqueId.length > 255))
    return { ok: false, reason: 'bad-unique-id', reply: null };
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    ok: true,
    value: {
      messageId: text(inner.message_id),
      publisherId: text(inner.publisher_id),
      eventType: text(inner.event_type),
      priority,
      payload: inner.payload ?? null,
      timestamp: text(inner.timestamp),
      uniqueId,
      context: unpackContext(inner),
    },
  };
}

function readPriority(value: unknown): NotificationPriority | undefined {
  if (typeof value !== 'string') return undefined;
  const lower = value.toLowerCase();
  return notificationPriorities.find((priority) => priority === lower);
}
