import { RedfishTimeout } from './errors.ts';

/** What every call takes. */
export type CallOptions = {
  readonly signal?: AbortSignal | undefined;
  /** Deadline of the whole call, its repeats, login and polls included; milliseconds. */
  readonly timeoutMs?: number | undefined;
};

/** A signal that aborts with RedfishTimeout after `ms`, or as one of `outer` does; disposing it ends its timer. */
export function deadline(
  ms: number,
  what: string,
  ...outer: readonly (AbortSignal | undefined)[]
): { readonly signal: AbortSignal; [Symbol.dispose](): void } {
  const own = new AbortController();
  const timer = setTimeout(
    () => own.abort(new RedfishTimeout(`${what}: not done in ${ms} ms`)),
    Math.min(ms, 2 ** 31 - 1),
  );
  const signal = AbortSignal.any([own.signal, ...outer.filter((one) => one !== undefined)]);
  return { signal, [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Waits `ms`, or rejects with the signal's reason. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
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
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
