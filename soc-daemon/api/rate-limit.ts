import type { Clock } from '../../core/ports/clock.ts';

const MAX_PEERS = 4096;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Takes a token of a peer's bucket; answers 0, or the milliseconds until there is one. */
export type RateLimiter = (peer: string) => number;

/** A token bucket per peer: `perSecond` on average, and as many at once. Peers that are idle are forgotten. */
export function createRateLimiter(perSecond: number, clock: Clock): RateLimiter {
  const buckets = new Map<string, Bucket>();
  return (peer) => {
    const now = clock.monotonicMs();
    const known = buckets.get(peer);
    const bucket = known ?? { tokens: perSecond, atMs: now };
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((now - bucket.atMs) * perSecond) / 1000);
    bucket.atMs = now;
    buckets.delete(peer);
    buckets.set(peer, bucket);
    if (buckets.size > MAX_PEERS) {
      const [oldest] = buckets.keys();
      if (oldest !== undefined) buckets.delete(oldest);
    }
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 0;
    }
    return ((1 - bucket.tokens) * 1000) / perSecond;
  };
}
