import { IpmiTimeoutError } from './errors.ts';

/** Longest delay that Node's timers take. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Waits `ms`, or rejects with the signal's reason as soon as it aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
  try {
    await withSignal(promise, signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as it aborts. */
export async function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stop = () => aborted.reject(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([aborted.promise, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A signal that aborts with IpmiTimeoutError after `ms`, or with the reason of one of `outer`. Disposing it ends its timer. */
export function deadline(
  ms: number,
  what: string,
  outer: readonly AbortSignal[],
): { readonly signal: AbortSignal } & Disposable {
  const own = new AbortController();
  const timer = setTimeout(
    () => own.abort(new IpmiTimeoutError(`${what}: no answer in ${ms} ms`)),
    Math.min(ms, MAX_TIMER_MS),
  );
  return {
    signal: AbortSignal.any([own.signal, ...outer]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
