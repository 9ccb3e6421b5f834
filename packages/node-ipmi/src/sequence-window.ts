const BEHIND = 16;

/**
 * Which of the BMC's session sequence numbers are new (IPMI 2.0 6.12.13): a number counts when it is ahead of the highest seen, or
 * at most 16 behind it and not seen yet. The standard also bounds the way ahead, at 15; here only signed packets get this far,
 * so a jump is a loss on the way and not a forgery. Numbers wrap at 2^32, and 0 is never used inside a session.
 */
export class SequenceWindow {
  #highest: number | undefined;
  /** Bit n: highest - n was seen. */
  #seen = 0;

  /** Whether the number is new; it is seen from then on. */
  accept(sequence: number): boolean {
    if (sequence === 0) return false;
    const ahead = this.#highest === undefined ? 32 : (sequence - this.#highest) | 0;
    if (ahead > 0) {
      this.#seen = ahead > BEHIND ? 1 : (this.#seen << ahead) | 1;
      this.#highest = sequence;
      return true;
    }
    const bit = 1 << -ahead;
    if (ahead < -BEHIND || (this.#seen & bit) !== 0) return false;
    this.#seen |= bit;
    return true;
  }
}
