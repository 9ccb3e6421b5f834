import { ProtocolError } from './errors.ts';

/** Bounds of what a peer may send. */
export type JsonStreamLimits = {
  /** Longest document in bytes; default 256 MiB (the whole of a large database comes as one document). */
  readonly maxBytes?: number;
  /** Deepest nesting; default 1000, as ovsdb-server's own. */
  readonly maxDepth?: number;
};

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Cuts a byte stream of JSON documents that follow each other without a delimiter (RFC 7047 4, JSON-RPC 1.0 over a
 * stream). Each byte is looked at once, wherever the stream is split, and a document's pieces are joined once.
 * `push` returns the documents that became whole; after an error the splitter is of no more use.
 */
export class JsonStream {
  readonly #maxBytes: number;
  readonly #maxDepth: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #parts: Buffer[] = [];
  #held = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(limits: JsonStreamLimits = {}) {
    this.#maxBytes = limits.maxBytes ?? 256 * 1024 * 1024;
    this.#maxDepth = limits.maxDepth ?? 1000;
  }

  /** Bytes of the document that is not whole yet. */
  get heldBytes(): number {
    return this.#held;
  }

  /**
   * Takes the next bytes and hands each document that became whole to `each`, in order.
   *
   * @throws ProtocolError `protocol`: not JSON, not an object or array, too long, too deep, or not UTF-8
   */
  push(chunk: Buffer, each: (document: unknown) => void): void {
    let start = this.#depth > 0 ? 0 : -1;
    for (let i = 0; i < chunk.length; i++) {
      if (this.#inString) {
        i = this.#skipString(chunk, i);
        continue;
      }
      switch (chunk[i]) {
        case QUOTE:
          if (this.#depth === 0) throw new ProtocolError('expected a JSON object or array');
          this.#inString = true;
          break;
        case 0x7b: // {
        case 0x5b: // [
          if (this.#depth === 0) start = i;
          this.#depth += 1;
          if (this.#depth > this.#maxDepth) throw new ProtocolError(`nested deeper than ${this.#maxDepth}`);
          break;
        case 0x7d: // }
        case 0x5d: // ]
          if (this.#depth === 0) throw new ProtocolError('a bracket closes that was not opened');
          this.#depth -= 1;
          if (this.#depth === 0) {
            each(this.#finish(chunk.subarray(start, i + 1)));
            start = -1;
          }
          break;
        case 0x20:
        case 0x09:
        case 0x0a:
        case 0x0d:
          break;
        default:
          if (this.#depth === 0) throw new ProtocolError('expected a JSON object or array');
      }
    }
    if (start >= 0) this.#hold(start === 0 ? chunk : chunk.subarray(start));
  }

  /** Index of the last byte looked at: the closing quote, or the chunk's end. */
  #skipString(chunk: Buffer, from: number): number {
    let i = from;
    if (this.#escaped) {
      this.#escaped = false;
      i += 1;
    }
    for (; i < chunk.length; i++) {
      const byte = chunk[i];
      if (byte === QUOTE) {
        this.#inString = false;
        return i;
      }
      if (byte === BACKSLASH) {
        if (i + 1 === chunk.length) this.#escaped = true;
        i += 1;
      }
    }
    return chunk.length;
  }

  #hold(part: Buffer): void {
    this.#held += part.length;
    if (this.#held > this.#maxBytes) throw new ProtocolError(`a message is longer than ${this.#maxBytes} bytes`);
    this.#parts.push(part);
  }

  #finish(last: Buffer): unknown {
    this.#hold(last);
    const whole = this.#parts.length === 1 ? last : Buffer.concat(this.#parts, this.#held);
    this.#parts = [];
    this.#held = 0;
    try {
      return JSON.parse(this.#decoder.decode(whole));
    } catch {
      // The parser's text would quote the message, which may hold secrets.
      throw new ProtocolError('a message is not valid JSON in UTF-8');
    }
  }
}
