import { IpmiFormatError } from './errors.ts';

/** Reads little-endian fields from the front of a message. Everything throws `malformed` when the message is too short. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.bytes(1).readUInt8();
  }

  u16(): number {
    return this.bytes(2).readUInt16LE();
  }

  u24(): number {
    return this.bytes(3).readUIntLE(0, 3);
  }

  u32(): number {
    return this.bytes(4).readUInt32LE();
  }

  /** The next `count` bytes, not copied. */
  bytes(count: number): Buffer {
    if (count > this.left) throw new IpmiFormatError(`${this.#what}: ${this.#bytes.length} bytes are too few`);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }
}
