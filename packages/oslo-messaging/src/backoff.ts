/** Exponential back-off with full jitter: attempt n waits random() * min(maxMs, baseMs * factor^n). */
export type Backoff = {
  /** Default 200. */
  readonly baseMs?: number;
  /** Default 15000. */
  readonly maxMs?: number;
  /** Default 2. */
  readonly factor?: number;
};

/** Milliseconds to wait before attempt `attempt` (0 is the first repeat); `random` gives [0, 1). */
export function backoffDelay(attempt: number, backoff: Backoff, random: () => number): number {
  const { baseMs = 200, maxMs = 15_000, factor = 2 } = backoff;
  return Math.floor(random() * Math.min(maxMs, baseMs * factor ** Math.min(attempt, 60)));
}
