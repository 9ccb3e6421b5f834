/** A timer that can be taken back. */
export interface Timer {
  cancel(): void;
}

/** Time as everything but the protocol packages sees it, so that a simulation can drive it. */
export interface Clock {
  /** Milliseconds from an arbitrary start; never goes back. Deadlines count by this. */
  monotonicMs(): number;
  /** Unix time in milliseconds; for display only. */
  wallMs(): number;
  /** Ends after `ms`; rejects with the signal's reason when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms`. */
  timer(ms: number, callback: () => void): Timer;
}

/** Wall time in RFC 3339, UTC, as every message shows it. */
export function timestamp(clock: Clock): string {
  return new Date(clock.wallMs()).toISOString();
}
