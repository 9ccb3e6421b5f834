import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../src/errors.ts';
import { JsonFramer } from '../src/framer.ts';
import { readResponse } from '../src/response.ts';
import { allExchanges } from './recordings.ts';

/** Texts full of what a scanner may trip over. */
const tricky = fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', '\n', 'é', '😀', 'x') });
const value = fc.oneof(tricky, fc.jsonValue({ stringUnit: 'binary' }));
const document = fc.oneof(fc.dictionary(tricky, value), fc.array(value));

/** Cuts bytes at the given places. */
function cutAt(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const sorted = [0, ...places.map((each) => each % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

describe('JsonFramer', () => {
  it('finds every document, wherever the stream is cut and whatever white space lies between', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(document, fc.constantFrom('', '\n', ' \r\n\t'), fc.constantFrom(0, 2)), { maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (documents, places) => {
          const text = documents
            .map(([each, space, indent]) => `${JSON.stringify(each, null, indent)}${space}`)
            .join('');
          const framer = new JsonFramer();
          const got = cutAt(Buffer.from(text), places).flatMap((part) => [...framer.push(part)]);
          expect(got).toEqual(documents.map(([each]) => JSON.parse(JSON.stringify(each))));
          expect(framer.pendingBytes).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('never does anything but yield or refuse, whatever bytes come, and holds no more than the limit', () => {
    const seeds = allExchanges.map((each) => Buffer.from(JSON.stringify(each.response)));
    const change = fc.record({ at: fc.nat(), with: fc.uint8Array({ maxLength: 4 }), drop: fc.nat({ max: 4 }) });
    let refused = 0;
    let taken = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(change, { maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (seed, changes, places) => {
          let bytes = Buffer.concat([seed, seed]);
          for (const { at, with: put, drop } of changes) {
            const place = at % (bytes.length + 1);
            bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + drop)]);
          }
          const framer = new JsonFramer({ maxBytes: 2000 });
          try {
            for (const part of cutAt(bytes, places)) {
              for (const each of framer.push(part)) {
                readResponse(each);
                taken += 1;
              }
              expect(framer.pendingBytes).toBeLessThanOrEqual(2000);
            }
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            refused += 1;
          }
        },
      ),
      { numRuns: 5000 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(taken).toBeGreaterThan(100);
  });

  it.each([
    ['a text at the top', '"x"'],
    ['a number at the top', '1'],
    ['brackets that do not match', '{"a":[1}'],
    ['a closing bracket first', ']'],
    ['what only looks like JSON', '{a}'],
    ['a document inside another one', '{"a":{} {"b":1}}'],
  ])('refuses %s', (_what, text) => {
    expect(() => [...new JsonFramer().push(Buffer.from(text))]).toThrow(ProtocolError);
  });

  it('refuses a document over the limit, whole or in parts, and takes one of just that length', () => {
    const text = Buffer.from(`{"a":"${'x'.repeat(92)}"}`);
    expect([...new JsonFramer({ maxBytes: 100 }).push(text)]).toHaveLength(1);
    const exact = new JsonFramer({ maxBytes: 100 });
    expect([...text].flatMap((byte) => [...exact.push(Buffer.of(byte))])).toHaveLength(1);
    expect(() => [...new JsonFramer({ maxBytes: 99 }).push(text)]).toThrow('longer than 99');
    const inParts = new JsonFramer({ maxBytes: 99 });
    expect(() => [...text].flatMap((byte) => [...inParts.push(Buffer.of(byte))])).toThrow('longer than 99');
  });

  it('refuses what is nested too deep', () => {
    const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
    expect([...new JsonFramer().push(nested(128))]).toHaveLength(1);
    expect(() => [...new JsonFramer().push(nested(129))]).toThrow('nested deeper than 128');
  });

  it('does not quote what it could not read', () => {
    expect(() => [...new JsonFramer().push(Buffer.from('{"psk":hunter2}'))]).toThrow(/^a document is not JSON$/);
  });
});
