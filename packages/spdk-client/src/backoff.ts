/** Exponential back-off with full jitter: attempt n waits random() * min(maxMs, baseMs * factor^n). */
export interface Backoff {
  /** Default 100. */
  readonly baseMs?: number;
  /** Default 5000. */
  readonly maxMs?: number;
  /** Default 2. */
  readonly factor?: number;
}

/** Milliseconds to wait before attempt `attempt` (0 is the first repeat); `random` gives [0, 1). */
export function backoffDelay(attempt: number, backoff: Backoff, random: () => number): number {
  const { baseMs = 100, maxMs = 5000, factor = 2 } = backoff;
  return Math.floor(random() * Math.min(maxMs, baseMs * factor ** Math.min(attempt, 60)));
}
