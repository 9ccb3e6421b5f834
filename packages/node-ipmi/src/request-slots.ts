/** rqSeq has six bits (IPMI 2.0 13.8). */
const SLOTS = 64;

/**
 * The sequence numbers of requests. A number whose request was repeated or given up may still be answered, so it rests for a
 * while: a late answer then finds nobody, and never another request.
 */
export class RequestSlots {
  readonly #restMs: number;
  readonly #now: () => number;
  readonly #taken = new Set<number>();
  readonly #restsUntil = new Map<number, number>();
  #next = 0;

  constructor(restMs: number, now: () => number = () => performance.now()) {
    this.#restMs = restMs;
    this.#now = now;
  }

  /** A free number; when all rest, the one that has rested longest. There are 64, and never more than 32 in use. */
  take(): number {
    const now = this.#now();
    let best = -1;
    let bestUntil = Number.POSITIVE_INFINITY;
    for (let step = 0; step < SLOTS; step += 1) {
      const slot = (this.#next + step) % SLOTS;
      if (this.#taken.has(slot)) continue;
      const until = this.#restsUntil.get(slot) ?? 0;
      if (until <= now || until < bestUntil) {
        best = slot;
        bestUntil = until;
      }
      if (until <= now) break;
    }
    this.#next = (best + 1) % SLOTS;
    this.#taken.add(best);
    this.#restsUntil.delete(best);
    return best;
  }

  /** Gives a number back; with `rest` it is not used again for a while. */
  release(slot: number, rest: boolean): void {
    this.#taken.delete(slot);
    if (rest) this.#restsUntil.set(slot, this.#now() + this.#restMs);
  }
}
