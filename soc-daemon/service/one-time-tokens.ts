import { createHash } from 'node:crypto';
import type { Clock } from '../../core/ports/clock.ts';
import type { Random } from '../../core/ports/random.ts';

/** Tokens that are good once, for a while. Only their digests are held, and only in memory: a restart ends them all. */
export interface OneTimeTokens<What> {
  /** A new token for something, and until when it is good (Unix time in ms). */
  issue(what: What): { readonly token: string; readonly expiresAtMs: number };
  /** What it was issued for; undefined when it was used before, is too old, or never was. */
  redeem(token: string): What | undefined;
}

/** `capacity`: with that many unused the oldest is given up. */
export function createOneTimeTokens<What>(
  clock: Clock,
  random: Random,
  options: { readonly livesMs: number; readonly capacity: number },
): OneTimeTokens<What> {
  const held = new Map<string, { readonly what: What; readonly untilMs: number }>();
  const digest = (token: string): string => createHash('sha256').update(token).digest('hex');
  return {
    issue(what) {
      const now = clock.monotonicMs();
      for (const [key, { untilMs }] of held) {
        if (untilMs <= now || held.size >= options.capacity) held.delete(key);
        else break; // issued in order, so the rest is younger
      }
      const token = `${random.uuid()}${random.uuid()}`.replaceAll('-', '');
      held.set(digest(token), { what, untilMs: now + options.livesMs });
      return { token, expiresAtMs: clock.wallMs() + options.livesMs };
    },
    redeem(token) {
      const key = digest(token);
      const found = held.get(key);
      held.delete(key);
      return found !== undefined && found.untilMs > clock.monotonicMs() ? found.what : undefined;
    },
  };
}
