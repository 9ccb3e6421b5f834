import { ProtocolError } from './errors.ts';

const LF = 0x0a;

/**
 * Cuts a byte stream into lines. QEMU ends each message with CRLF (qmp-spec 2.1, "General Definitions") and, unless its
 * monitor was made with `pretty=on`, has none inside of one. Empty lines are passed over.
 *
 * After a ProtocolError it must not be used again.
 */
export class LineFramer {
  readonly #maxBytes: number;
  /** The beginning of a line; grows by doubling, so that tiny chunks cost no more than big ones. */
  #held = Buffer.alloc(0);
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the line that is not complete yet. */
  get pendingBytes(): number {
    return this.#size;
  }

  /**
   * Takes a chunk and yields each line that it completes, without its end.
   * @throws ProtocolError when a line is over the limit
   */
  *push(chunk: Buffer): Generator<string, void, undefined> {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      const line = this.#take(chunk.subarray(start, end));
      start = end + 1;
      if (line !== '') yield line;
    }
    this.#keep(chunk.subarray(start));
  }

  #keep(part: Buffer): void {
    const size = this.#size + part.length;
    if (size > this.#maxBytes) throw new ProtocolError(`a message is longer than ${this.#maxBytes} bytes`);
    if (size > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(1024, size * 2)));
      this.#held.copy(larger, 0, 0, this.#size);
      this.#held = larger;
    }
    part.copy(this.#held, this.#size);
    this.#size = size;
  }

  #take(last: Buffer): string {
    if (this.#size + last.length > this.#maxBytes) {
      throw new ProtocolError(`a message is longer than ${this.#maxBytes} bytes`);
    }
    if (this.#size === 0) return last.toString('utf8').trim();
    this.#keep(last);
    const line = this.#held.toString('utf8', 0, this.#size).trim();
    this.#held = Buffer.alloc(0);
    this.#size = 0;
    return line;
  }
}
