import type { Clock } from '../../../core/ports/clock.ts';
import type { ExternalEvent } from '../wire/requests.ts';

/**
 * What Neutron and Cinder tell of servers, for flows that wait for it. It is kept for the life of the process only: whoever waits
 * also looks for itself, since an event may have come before a restart.
 */
export interface ExternalEvents {
  /** Wakes those who wait. */
  tell(event: ExternalEvent): void;
  /**
   * Ends with the next event of this name and tag for the server, or one that came since the last `forget`; null after `timeoutMs`.
   * Rejects with the signal's reason.
   */
  next(
    wanted: { readonly instance: string; readonly name: string; readonly tag: string },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ExternalEvent | null>;
  /** Forgets what came of this name and tag: before something is done that the event is to follow. */
  forget(wanted: { readonly instance: string; readonly name: string; readonly tag: string }): void;
}

/** How many events are kept for those who come to wait later. */
const mostKept = 1000;

/** Makes an empty board of events. */
export function createExternalEvents(clock: Clock): ExternalEvents {
  const seen = new Map<string, ExternalEvent>();
  const waiting = new Map<string, Set<(event: ExternalEvent) => void>>();
  const keyOf = (instance: string, name: string, tag: string | null): string => `${instance} ${name} ${tag ?? ''}`;

  return {
    tell(event) {
      const key = keyOf(event.instance_uuid, event.name, event.tag);
      seen.delete(key);
      seen.set(key, event);
      const [oldest] = seen.keys();
      if (seen.size > mostKept && oldest !== undefined) seen.delete(oldest);
      for (const wake of waiting.get(key) ?? []) wake(event);
    },
    next({ instance, name, tag }, timeoutMs, signal) {
      const key = keyOf(instance, name, tag);
      return new Promise((resolve, reject) => {
        const there = seen.get(key);
        if (there !== undefined) {
          resolve(there);
          return;
        }
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        const wakers = waiting.get(key) ?? new Set();
        waiting.set(key, wakers);
        const leave = (): void => {
          timer.cancel();
          signal.removeEventListener('abort', onAbort);
          wakers.delete(wake);
          if (wakers.size === 0) waiting.delete(key);
        };
        const wake = (event: ExternalEvent): void => {
          leave();
          resolve(event);
        };
        const onAbort = (): void => {
          leave();
          reject(signal.reason);
        };
        const timer = clock.timer(timeoutMs, () => {
          leave();
          resolve(null);
        });
        wakers.add(wake);
        signal.addEventListener('abort', onAbort, { once: true });
      });
    },
    forget({ instance, name, tag }) {
      seen.delete(keyOf(instance, name, tag));
    },
  };
}
