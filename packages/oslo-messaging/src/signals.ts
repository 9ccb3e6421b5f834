import { MessagingTimeout } from './errors.ts';

/** Waits `ms`; returns early, without an error, when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as it aborts. */
export async function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stop = () => aborted.reject(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A signal that aborts with MessagingTimeout after `ms`, or with `outer`'s reason; `clear` ends its timer. */
export function deadline(ms: number, what: string, outer?: AbortSignal): { signal: AbortSignal; clear(): void } {
  const own = new AbortController();
  const timer = setTimeout(
    () => own.abort(new MessagingTimeout(`${what}: no answer in ${ms} ms`)),
    Math.min(ms, 2 ** 31 - 1),
  );
  const signal = outer === undefined ? own.signal : AbortSignal.any([own.signal, outer]);
  return { signal, clear: () => clearTimeout(timer) };
}
