/** Exponential back-off with full jitter: attempt n waits random() * min(maxMs, baseMs * factor^n). */
export type Backoff = {
  /** Default 500. */
  readonly baseMs?: number;
  /** Default 15000. */
  readonly maxMs?: number;
  /** Default 2. */
  readonly factor?: number;
};

/** Milliseconds to wait before attempt `attempt` (0 is the first repeat); `random` gives [0, 1). */
export function backoffDelay(attempt: number, backoff: Backoff, random: () => number = Math.random): number {
  const { baseMs = 500, maxMs = 15_000, factor = 2 } = backoff;
  return Math.floor(random() * Math.min(maxMs, baseMs * factor ** Math.min(attempt, 60)));
}

/**
 * Seconds of a `Retry-After` header, given as delay or as date (RFC 9110 10.2.3); undefined when there is none or it is
 * nonsense. Never more than an hour, never less than 0.
 */
export function retryAfterSec(header: string | undefined, now: number = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : (Date.parse(text) - now) / 1000;
  return Number.isFinite(seconds) ? Math.min(3600, Math.max(0, seconds)) : undefined;
}
