import type { Clock } from '../../core/ports/clock.ts';

/** A clock that stands still until it is told to go on. */
export interface VirtualClock extends Clock {
  /** Timers and sleeps that wait. */
  readonly pending: number;
  /** Lets every promise that can go on now do so; no time passes. */
  flush(): Promise<void>;
  /** Lets `ms` pass: what is due runs in order of time, then of creation, with all promises settled in between. */
  advance(ms: number): Promise<void>;
  /** Goes from timer to timer until none waits, or until `limitMs` have passed (for what sets timers for ever). */
  runUntilIdle(limitMs?: number): Promise<void>;
  /** Goes from timer to timer until the promise is settled, and answers as it does. Throws when nothing waits any more, or after `limitMs`. */
  drive<Result>(promise: Promise<Result>, limitMs?: number): Promise<Result>;
  /** As `drive`, until the condition holds. */
  runUntil(condition: () => boolean, limitMs?: number): Promise<void>;
}

interface VirtualClockOptions {
  readonly wallMs?: number;
  readonly turns?: number;
  readonly outside?: () => Promise<void>;
}

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/**
 * A clock at `wallMs` (default 2026-01-01). `turns` is how many rounds of the event loop settle what runs now: one is enough
 * for promises, more for code that uses setImmediate itself. `outside` ends when work that runs outside of the event loop (a
 * worker thread, a file) is done; no time passes before.
 */
export function virtualClock({
  wallMs = 1_767_225_600_000,
  turns = 3,
  outside,
}: VirtualClockOptions = {}): VirtualClock {
  let now = 0;
  let created = 0;
  const waiting = new Set<Waiting>();

  const add = (ms: number, fire: () => void): Waiting => {
    const entry = { at: now + Math.max(0, ms), order: created++, fire };
    waiting.add(entry);
    return entry;
  };
  const next = (): Waiting | undefined => {
    let first: Waiting | undefined;
    for (const each of waiting) {
      if (!first || each.at < first.at || (each.at === first.at && each.order < first.order)) first = each;
    }
    return first;
  };
  const flush = async (): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      await outside?.();
    }
  };
  const fire = async (entry: Waiting): Promise<void> => {
    waiting.delete(entry);
    now = Math.max(now, entry.at);
    entry.fire();
    await flush();
  };
  const runUntil = async (condition: () => boolean, limitMs = Number.POSITIVE_INFINITY): Promise<void> => {
    const end = now + limitMs;
    await flush();
    while (!condition()) {
      const entry = next();
      if (!entry) throw new Error(`nothing waits any more at ${now} ms, and the condition does not hold`);
      if (entry.at > end) throw new Error(`the condition does not hold after ${limitMs} ms`);
      await fire(entry);
    }
  };

  return {
    monotonicMs: () => now,
    wallMs: () => Math.floor(wallMs + now),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const onAbort = (): void => {
          waiting.delete(entry);
          reject(signal?.reason);
        };
        const entry = add(ms, () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    timer: (ms, callback) => {
      const entry = add(ms, callback);
      return {
        cancel: () => {
          waiting.delete(entry);
        },
      };
    },
    get pending() {
      return waiting.size;
    },
    flush,
    advance: async (ms) => {
      const end = now + ms;
      await flush();
      for (let entry = next(); entry && entry.at <= end; entry = next()) await fire(entry);
      now = end;
    },
    runUntilIdle: async (limitMs = Number.POSITIVE_INFINITY) => {
      const end = now + limitMs;
      await flush();
      for (let entry = next(); entry && entry.at <= end; entry = next()) await fire(entry);
    },
    drive: async (promise, limitMs) => {
      let settled = false;
      const settle = (): void => {
        settled = true;
      };
      promise.then(settle, settle);
      await runUntil(() => settled, limitMs);
      return promise;
    },
    runUntil,
  };
}
