/** What may be said of one call. */
export interface CallOptions {
  /** Deadline in milliseconds. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Settles as `work` does, or rejects at the deadline with `late()`, or with the signal's reason. */
export async function withDeadline<T>(
  { signal }: CallOptions,
  limitMs: number,
  late: () => Error,
  work: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const timer = setTimeout(() => stopped.reject(late()), Math.min(limitMs, 2 ** 31 - 1));
  const abort = () => stopped.reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work(), stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
