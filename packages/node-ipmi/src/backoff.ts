/** Exponential back-off with full jitter: attempt n waits random() * min(maxMs, baseMs * 2^n). */
export type Backoff = {
  /** Default 500. */
  readonly baseMs?: number;
  /** Default 30000. */
  readonly maxMs?: number;
};

/** Milliseconds to wait before attempt `attempt` (0 is the first repeat); `random` gives [0, 1). */
export function backoffDelay(attempt: number, backoff: Backoff, random: () => number = Math.random): number {
  const { baseMs = 500, maxMs = 30_000 } = backoff;
  return Math.floor(random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 60)));
}
