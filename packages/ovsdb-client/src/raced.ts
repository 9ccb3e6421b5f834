import { DeadlineError } from './errors.ts';

/** Settles as `promise` does, or rejects with the signal's reason, or with `deadline` after `timeoutMs`. */
export async function raced<T>(
  promise: Promise<T>,
  what: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<T> {
  const lost = Promise.withResolvers<never>();
  const stop = () => lost.reject(signal?.reason);
  if (signal?.aborted) stop();
  else signal?.addEventListener('abort', stop, { once: true });
  const timer = setTimeout(
    () => lost.reject(new DeadlineError(`${what}: not done in ${timeoutMs} ms`)),
    Math.min(timeoutMs, 2 ** 31 - 1),
  );
  try {
    return await Promise.race([promise, lost.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}
