import type { Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';

/** What a body must turn out to be. */
export interface Expected {
  /** For errors: `image 7000…`. */
  readonly what: string;
  readonly sizeBytes: number;
  readonly hash: Hash;
  /** Hex. */
  readonly digest: string;
}

/** How a body is read. */
export interface ReadOptions {
  readonly clock: Clock;
  /** Longest pause between two chunks; milliseconds. A reader that is slow itself is no pause. */
  readonly stallMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The same bytes, whose end comes only when they were all and hash to the digest. Its errors: `hardware` (other bytes than the metadata tell),
 * `unavailable` (cut short), `timeout` (stalled), or the signal's reason. Destroying it ends the source.
 */
export function verifiedBody(source: Readable, expected: Expected, options: ReadOptions): Readable {
  return Readable.from(verified(source, expected, options), { objectMode: false });
}

async function* verified(
  source: Readable,
  { what, sizeBytes, hash, digest }: Expected,
  { clock, stallMs, signal }: ReadOptions,
): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = source[Symbol.asyncIterator]();
  let seen = 0;
  try {
    for (;;) {
      const stalled = (): void => {
        source.destroy(new DpuError('timeout', `glance: nothing came of ${what} for ${stallMs} ms`));
      };
      const timer = clock.timer(stallMs, stalled);
      const next = await chunks.next().finally(() => timer.cancel());
      if (next.done) break;
      seen += next.value.length;
      if (seen > sizeBytes) throw other(what, 'it has more bytes than its metadata says');
      hash.update(next.value);
      yield next.value;
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof DpuError) throw error;
    throw cutShort(what, seen, sizeBytes);
  } finally {
    source.destroy();
  }
  if (seen < sizeBytes) throw cutShort(what, seen, sizeBytes);
  if (hash.digest('hex') !== digest.toLowerCase()) throw other(what, 'its hash is not the one of its metadata');
}

function cutShort(what: string, seen: number, sizeBytes: number): DpuError {
  return new DpuError('unavailable', `glance: ${what} broke off after ${seen} of ${sizeBytes} bytes`);
}

function other(what: string, why: string): DpuError {
  return new DpuError('hardware', `glance: the data of ${what} is not what was stored: ${why}`);
}
