import type { SpdkClient } from './client.ts';
import { type Notification, notify } from './methods/vhost.ts';

/** How {@link notifications} reads. */
export interface NotificationOptions {
  /** Id of the first to read; default 0, which is the oldest that SPDK still has. */
  readonly from?: number;
  /** At most as many in one answer; default 128. */
  readonly batch?: number;
  /** Pause after an answer without any; default 1,000. */
  readonly idleMs?: number;
  /** Deadline of one request in milliseconds; default that of the client. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A notification, with how many before it were lost: when it is not 0, list anew. */
export interface NotificationWithLoss extends Notification {
  readonly lost: number;
}

/**
 * Reads SPDK's notifications for ever, or until the signal aborts, which ends it without an error. SPDK keeps a ring and
 * forgets the oldest; and after its restart ids begin at 0 again, so begin anew on the client's `connected` event.
 */
export async function* notifications(
  client: SpdkClient,
  options: NotificationOptions = {},
): AsyncGenerator<NotificationWithLoss, void, undefined> {
  const { batch = 128, idleMs = 1000, timeoutMs, signal } = options;
  const over = () => signal?.aborted === true;
  let next = options.from ?? 0;
  let first = options.from === undefined;
  while (!over()) {
    let seen: readonly Notification[];
    try {
      const call = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
      seen = await client.call(notify.list, { id: next, max: batch }, call);
    } catch (error) {
      if (over()) return;
      throw error;
    }
    for (const each of seen) {
      const lost = first ? 0 : Math.max(0, each.id - next);
      first = false;
      next = each.id + 1;
      yield { ...each, lost };
    }
    if (seen.length === 0) await idle(idleMs, signal);
  }
}

async function idle(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal?.addEventListener('abort', stop, { once: true });
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener('abort', stop);
}
