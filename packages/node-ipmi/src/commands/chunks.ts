import { IpmiCompletionError, IpmiFormatError } from '../errors.ts';

/** Codes by which a BMC says that an answer would not fit: C7h, C8h, CAh, and FFh of those that do not say why (table 5-2). */
const TOO_MUCH: ReadonlySet<number> = new Set([0xc7, 0xc8, 0xca, 0xff]);

/** What a piecewise read may assume. */
export type ChunkOptions = {
  /** Pieces are a multiple of so many bytes; default 1. */
  readonly unit?: number;
  /** Size of the first piece; it is halved when the BMC finds it too big. Default 32. */
  readonly first?: number;
};

/**
 * Reads `size` bytes in pieces, smaller ones when the BMC asks for that.
 * @throws `malformed` when the BMC stops to return any; what `read` throws
 */
export async function readChunked(
  size: number,
  { unit = 1, first = 32 }: ChunkOptions,
  read: (offset: number, count: number) => Promise<Buffer>,
): Promise<Buffer> {
  const whole = Buffer.alloc(size);
  let chunk = first;
  for (let at = 0; at < size; ) {
    const count = Math.min(chunk, size - at);
    try {
      const piece = await read(at, count);
      if (piece.length === 0) throw new IpmiFormatError(`nothing returned at offset ${at} of ${size}`);
      at += piece.copy(whole, at, 0, Math.min(piece.length, count));
      if (at % unit !== 0 && at < size) throw new IpmiFormatError(`half a word returned at offset ${at}`);
    } catch (error) {
      const smaller = Math.floor(chunk / 2 / unit) * unit;
      if (!(error instanceof IpmiCompletionError && TOO_MUCH.has(error.completionCode)) || smaller < 8) throw error;
      chunk = smaller;
    }
  }
  return whole;
}
