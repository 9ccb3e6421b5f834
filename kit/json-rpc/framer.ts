import { DpuError } from '../../core/errors.ts';

/** What one document may be at most. */
export interface FramerLimits {
  readonly maxBytes: number;
  /** Of nested objects and arrays; default 64. */
  readonly maxDepth?: number;
}

/** Takes bytes as they come and answers the texts of the documents that they complete. */
export interface Framer {
  /** @throws DpuError `invalid`: no JSON object or array, too large or too deep; the stream can't be read on from there. */
  push(chunk: Buffer): readonly string[];
  /** Whether a document has begun that is not complete. */
  readonly open: boolean;
}

const quote = 0x22;
const backslash = 0x5c;
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);
const blank = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Cuts a stream into JSON documents that stand back to back, with or without white space between them, as SPDK frames its JSON-RPC.
 * A document is an object or an array; whether it is well-formed inside is for the parser to say.
 */
export function createFramer({ maxBytes, maxDepth = 64 }: FramerLimits): Framer {
  let parts: Buffer[] = [];
  let kept = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;

  function take(chunk: Buffer, start: number, end: number): void {
    kept += end - start;
    if (kept > maxBytes) throw new DpuError('invalid', `JSON document is larger than ${maxBytes} bytes`);
    if (end > start) parts.push(Buffer.from(chunk.subarray(start, end)));
  }

  return {
    get open() {
      return depth > 0;
    },
    push(chunk) {
      const documents: string[] = [];
      let start = 0;
      for (let at = 0; at < chunk.length; at += 1) {
        const byte = chunk[at] ?? 0;
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === backslash) escaped = true;
          else if (byte === quote) inString = false;
        } else if (opening.has(byte)) {
          if (depth === 0) start = at;
          depth += 1;
          if (depth > maxDepth) throw new DpuError('invalid', `JSON document is nested deeper than ${maxDepth}`);
        } else if (depth === 0) {
          if (!blank.has(byte)) throw new DpuError('invalid', 'a JSON document begins with a brace or a bracket');
        } else if (byte === quote) inString = true;
        else if (closing.has(byte)) {
          depth -= 1;
          if (depth > 0) continue;
          take(chunk, start, at + 1);
          documents.push(Buffer.concat(parts).toString('utf8'));
          parts = [];
          kept = 0;
          start = at + 1;
        }
      }
      if (depth > 0) take(chunk, start, chunk.length);
      return documents;
    },
  };
}
