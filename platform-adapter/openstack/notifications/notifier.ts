import { createNotifier, type QueueFlags, type Transport } from 'oslo-messaging';
import type { JsonObject } from '../../../core/units.ts';
import type { RequestContext } from '../wire/context.ts';

/** nova's [notifications]notification_format, or none. */
export type NotificationFormat = 'none' | 'unversioned' | 'versioned' | 'both';

/** The two kinds: on the topics `notifications` and `versioned_notifications`. */
export type NotificationKind = 'legacy' | 'versioned';

/** How grave it is; oslo's names. */
export type NotificationPriority = 'info' | 'error';

/** Tells whoever listens to nova of servers. */
export interface ServerNotifier {
  sends(kind: NotificationKind): boolean;
  /** Ends when the broker has it. @throws errors of oslo-messaging. */
  send(
    kind: NotificationKind,
    event: string,
    payload: JsonObject,
    about: {
      readonly context: RequestContext;
      readonly signal: AbortSignal;
      /** Default `info`. */
      readonly priority?: NotificationPriority;
    },
  ): Promise<void>;
  close(): Promise<void>;
}

/** How long the broker has for one. */
const timeoutMs = 30_000;

/** The notifier of a compute service; null where nothing is to be sent. */
export function createServerNotifier(
  transport: Transport,
  flags: QueueFlags,
  { format, host }: { readonly format: NotificationFormat; readonly host: string },
): ServerNotifier | null {
  if (format === 'none') return null;
  const own = { ...flags, transport, exchange: 'nova' };
  const legacy = createNotifier({ ...own, topics: ['notifications'], publisherId: `compute.${host}` });
  const versioned = createNotifier({
    ...own,
    topics: ['versioned_notifications'],
    publisherId: `nova-compute:${host}`,
  });
  const kinds = { legacy, versioned };
  return {
    sends: (kind) => format === 'both' || format === (kind === 'legacy' ? 'unversioned' : 'versioned'),
    async send(kind, event, payload, { context, signal, priority = 'info' }) {
      await kinds[kind][priority](event, payload, { context: { ...context }, timeoutMs, signal });
    },
    async close() {
      await Promise.all([legacy.close(), versioned.close()]);
    },
  };
}
