/** The remote framebuffer protocol as a host's screen server speaks it (RFC 6143): version 3.8, no authentication, raw pictures. */

import type { Duplex } from 'node:stream';

/** A picture: rows of red, green and blue, a byte each. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** PIXEL_FORMAT of 7.4, true colour alone. */
interface PixelFormat {
  readonly bytes: 1 | 2 | 4;
  readonly bigEndian: boolean;
  readonly max: readonly [number, number, number];
  readonly shift: readonly [number, number, number];
}

const VERSION = 'RFB 003.008\n';
const NO_AUTHENTICATION = 1;

/** What a screen has before its client asks for another: 32 bits, of which 24 are colour. */
const FIRST: PixelFormat = { bytes: 4, bigEndian: false, max: [255, 255, 255], shift: [16, 8, 0] };

/** Longest text that a client may put into the clipboard. */
const MOST_TEXT = 65_536;

/** What is at the client's end of a stream did not speak the protocol, or went away within it. */
class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Shows a picture to one client until it goes. @throws Error when it says what is no RFB 3.8 */
export async function showPicture(stream: Duplex, name: string, picture: Picture): Promise<void> {
  const read = reader(stream);
  stream.write(VERSION);
  const version = (await read(12)).toString('latin1');
  if (version !== VERSION) {
    stream.write(refusal('only version 3.8 is spoken here'));
    throw new ProtocolError(`version ${JSON.stringify(version)}`);
  }
  stream.write(Uint8Array.of(1, NO_AUTHENTICATION));
  const chosen = (await read(1))[0];
  if (chosen !== NO_AUTHENTICATION) {
    stream.write(Buffer.concat([u32(1), text('there is no other security type')]));
    throw new ProtocolError(`security type ${chosen}`);
  }
  stream.write(u32(0));
  await read(1); // ClientInit: whether others may watch; they may
  stream.write(Buffer.concat([u16(picture.width, picture.height), formatBytes(FIRST), text(name)]));
  await answer(stream, read, picture);
}

/** The messages of 7.5, until the stream ends. */
async function answer(stream: Duplex, read: Reader, picture: Picture): Promise<void> {
  let format = FIRST;
  for (;;) {
    const [type] = await read(1);
    switch (type) {
      case 0:
        format = readFormat((await read(19)).subarray(3));
        break;
      case 2: {
        const count = (await read(3)).readUInt16BE(1);
        await read(4 * count); // raw is always allowed
        break;
      }
      case 3: {
        const asked = await read(9);
        // nothing ever changes: who asks for what has changed waits
        if (asked[0] === 0) stream.write(update(picture, format, clip(picture, asked)));
        break;
      }
      case 4:
        await read(7);
        break;
      case 5:
        await read(5);
        break;
      case 6: {
        const length = (await read(7)).readUInt32BE(3);
        if (length > MOST_TEXT) throw new ProtocolError('too long a text');
        await read(length);
        break;
      }
      default:
        throw new ProtocolError(`message ${type}`);
    }
  }
}

interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function clip({ width, height }: Picture, asked: Buffer): Area {
  const [x, y] = [Math.min(asked.readUInt16BE(1), width), Math.min(asked.readUInt16BE(3), height)];
  return {
    x,
    y,
    width: Math.min(asked.readUInt16BE(5), width - x),
    height: Math.min(asked.readUInt16BE(7), height - y),
  };
}

/** FramebufferUpdate of one raw rectangle (7.6.1, 7.7.1). */
function update(picture: Picture, format: PixelFormat, { x, y, width, height }: Area): Buffer {
  const pixels = Buffer.alloc(width * height * format.bytes);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const from = 3 * ((y + row) * picture.width + x + column);
      let value = 0;
      for (const part of [0, 1, 2] as const) {
        const scaled = Math.round(((picture.rgb[from + part] ?? 0) * format.max[part]) / 255);
        value += scaled * 2 ** format.shift[part];
      }
      const to = (row * width + column) * format.bytes;
      if (format.bigEndian) pixels.writeUIntBE(value, to, format.bytes);
      else pixels.writeUIntLE(value, to, format.bytes);
    }
  }
  return Buffer.concat([Uint8Array.of(0, 0), u16(1, x, y, width, height), u32(0), pixels]);
}

function readFormat(bytes: Buffer): PixelFormat {
  const [bits = 0, , bigEndian, trueColour] = bytes;
  if ((bits !== 8 && bits !== 16 && bits !== 32) || trueColour === 0) throw new ProtocolError('a colour map');
  const shift = [bytes.readUInt8(10), bytes.readUInt8(11), bytes.readUInt8(12)] as const;
  const max = [bytes.readUInt16BE(4), bytes.readUInt16BE(6), bytes.readUInt16BE(8)] as const;
  const fits = ([0, 1, 2] as const).every((part) => (max[part] + 1) * 2 ** shift[part] <= 2 ** bits);
  if (!fits) throw new ProtocolError('colours outside of a pixel');
  return { bytes: bits === 8 ? 1 : bits === 16 ? 2 : 4, bigEndian: bigEndian !== 0, max, shift };
}

function formatBytes({ bytes, bigEndian, max, shift }: PixelFormat): Buffer {
  const start = Uint8Array.of(8 * bytes, 24, bigEndian ? 1 : 0, 1);
  return Buffer.concat([start, u16(...max), Uint8Array.of(...shift, 0, 0, 0)]);
}

type Reader = (bytes: number) => Promise<Buffer>;

/** Reads so many bytes, however they come. */
function reader(stream: Duplex): Reader {
  const chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  return async (bytes) => {
    const parts: Buffer[] = [held];
    let length = held.length;
    while (length < bytes) {
      const { done, value } = await chunks.next();
      if (done === true) throw new ProtocolError('the client has gone');
      parts.push(value);
      length += value.length;
    }
    const all = Buffer.concat(parts);
    held = all.subarray(bytes);
    return all.subarray(0, bytes);
  };
}

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, 2 * at);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A text with its length before it. */
function text(value: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)]);
}

/** No security type at all, and why (7.1.2). */
function refusal(reason: string): Buffer {
  return Buffer.concat([Uint8Array.of(0), text(reason)]);
}
