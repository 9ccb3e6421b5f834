import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonStream, ProtocolError } from '../src/index.ts';

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const points = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...points].map((from, i) => bytes.subarray(from, points[i] ?? bytes.length));
}

function readAll(chunks: readonly Buffer[], limits = {}): unknown[] {
  const stream = new JsonStream(limits);
  const documents: unknown[] = [];
  for (const chunk of chunks) stream.push(chunk, (document) => documents.push(document));
  return documents;
}

const awkward = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('}', '{"', '\\', '\\"', '"}]', '日本語', '😀', '\u2028', '[['),
);
const documents = fc.array(
  fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(awkward, fc.oneof(awkward, fc.jsonValue()))),
  { maxLength: 6 },
);

describe('JsonStream', () => {
  it('gives the same documents wherever the stream is split', () => {
    fc.assert(
      fc.property(
        documents,
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.constantFrom('', '\n', ' \t\r\n'),
        (sent, cuts, gap) => {
          const texts = sent.map((document) => JSON.stringify(document));
          const bytes = Buffer.from(texts.join(gap));
          expect(readAll(split(bytes, cuts))).toEqual(texts.map((text) => JSON.parse(text)));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes one byte at a time', () => {
    const bytes = Buffer.from('{"a":"}{\\\\\\"é😀"}[1,["]"]] {}');
    expect(readAll([...bytes].map((byte) => Buffer.of(byte)))).toEqual([{ a: '}{\\"é😀' }, [1, [']']], {}]);
  });

  it.each(['x', '"text"', '1', 'null', ']', '{]', '[1,]', '{"a":\u0001}', '[}'])('refuses %j', (text) => {
    expect(() => readAll([Buffer.from(text)])).toThrow(ProtocolError);
  });

  it('refuses what is not UTF-8', () => {
    expect(() => readAll([Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d])])).toThrow(ProtocolError);
  });

  it('does not quote the message in the error', () => {
    const attempt = () => readAll([Buffer.from('{"password":"hunter2",}')]);
    expect(attempt).toThrow(ProtocolError);
    expect(attempt).not.toThrow(/hunter2/);
  });

  it('bounds length and depth, before the document is whole', () => {
    expect(() => readAll([Buffer.from(`["${'a'.repeat(60)}`), Buffer.from('b'.repeat(60))], { maxBytes: 100 })).toThrow(
      ProtocolError,
    );
    expect(() => readAll([Buffer.from('['.repeat(11))], { maxDepth: 10 })).toThrow(ProtocolError);
    expect(readAll([Buffer.from(`${'['.repeat(10)}${']'.repeat(10)}`)], { maxDepth: 10 })).toHaveLength(1);
  });

  it('holds no more than the unfinished document', () => {
    const stream = new JsonStream();
    stream.push(Buffer.from('{"a":1}{"b"'), () => undefined);
    expect(stream.heldBytes).toBe(4);
    stream.push(Buffer.from(':2}'), () => undefined);
    expect(stream.heldBytes).toBe(0);
  });
});
