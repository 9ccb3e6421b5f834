import { ProtocolError } from './errors.ts';

/** Limits of a {@link JsonFramer}. */
export interface FramerLimits {
  /** Longest document in bytes, default 16 MiB. */
  readonly maxBytes?: number;
  /** Deepest nesting, default 128. */
  readonly maxDepth?: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/**
 * Cuts a byte stream into JSON documents that follow each other without a delimiter, as SPDK writes them (JSON-RPC 2.0
 * itself says nothing of framing). Only objects and arrays can stand at the top. The scanner follows strings and
 * brackets and leaves the rest to `JSON.parse`; it also notices what can only mean that the stream is out of step:
 * SPDK forgets the last brace when it answers a notification, so that the next document begins inside the old one.
 *
 * After a ProtocolError the framer must not be used again.
 */
export class JsonFramer {
  readonly #maxBytes: number;
  readonly #maxDepth: number;
  /** The first bytes of a document that is not complete; grows by doubling, so that tiny chunks cost no more than big ones. */
  #held = Buffer.alloc(0);
  #size = 0;
  /** The closing brackets that are due. */
  #closers: number[] = [];
  #inString = false;
  #escaped = false;
  #afterClose = false;

  constructor({ maxBytes = 16 * 1024 * 1024, maxDepth = 128 }: FramerLimits = {}) {
    this.#maxBytes = maxBytes;
    this.#maxDepth = maxDepth;
  }

  /** Bytes of the document that is not complete yet. */
  get pendingBytes(): number {
    return this.#size;
  }

  /**
   * Takes a chunk and yields each document that it completes.
   * @throws ProtocolError when the bytes can't be JSON documents, or one is over a limit
   */
  *push(chunk: Buffer): Generator<unknown, void, undefined> {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (this.#closers.length === 0) {
        if (isSpace(byte)) {
          start = at + 1;
          continue;
        }
        if (byte !== 0x7b && byte !== 0x5b) throw new ProtocolError('a document must begin with { or [');
        start = at;
      }
      if (this.#scan(byte)) {
        const document = this.#take(chunk.subarray(start, at + 1));
        start = at + 1;
        yield document;
      }
    }
    if (this.#closers.length > 0) this.#keep(chunk.subarray(start));
  }

  /** Moves the state over one byte; true when it ends a document. */
  #scan(byte: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inString = false;
      return false;
    }
    if (isSpace(byte)) return false;
    const closes = byte === 0x7d || byte === 0x5d;
    if (this.#afterClose && !closes && byte !== COMMA) throw new ProtocolError('a document begins inside another one');
    this.#afterClose = closes;
    if (closes) {
      if (this.#closers.pop() !== byte) throw new ProtocolError('brackets do not match');
      if (this.#closers.length > 0) return false;
      this.#afterClose = false;
      return true;
    }
    if (byte === QUOTE) this.#inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (this.#closers.length >= this.#maxDepth) throw new ProtocolError(`nested deeper than ${this.#maxDepth}`);
      this.#closers.push(byte + 2);
    }
    return false;
  }

  #keep(part: Buffer): void {
    const size = this.#size + part.length;
    if (size > this.#maxBytes) throw new ProtocolError(`a document is longer than ${this.#maxBytes} bytes`);
    if (size > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(1024, size * 2)));
      this.#held.copy(larger, 0, 0, this.#size);
      this.#held = larger;
    }
    part.copy(this.#held, this.#size);
    this.#size = size;
  }

  #take(last: Buffer): unknown {
    let whole = last;
    if (this.#size > 0) {
      this.#keep(last);
      whole = this.#held.subarray(0, this.#size);
      this.#held = Buffer.alloc(0);
      this.#size = 0;
    } else if (last.length > this.#maxBytes) {
      throw new ProtocolError(`a document is longer than ${this.#maxBytes} bytes`);
    }
    try {
      return JSON.parse(whole.toString('utf8'));
    } catch {
      // the parser's own text quotes the document, which may hold a secret
      throw new ProtocolError('a document is not JSON');
    }
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
