import type { Clock } from '../../../core/ports/clock.ts';
import { systemClock } from '../../../kit/clock.ts';

/** A clock whose sleepers wake after a few milliseconds at most, and find that their time has passed. Timers take their time. */
export function createHurriedClock(longestMs = 2): Clock {
  let skipped = 0;
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + skipped,
    async sleep(ms, signal) {
      await systemClock.sleep(Math.min(ms, longestMs), signal);
      skipped += Math.max(0, ms - longestMs);
    },
  };
}
