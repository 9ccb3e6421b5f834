import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../src/errors.ts';
import { LineFramer } from '../src/lines.ts';
import { readMessage } from '../src/messages.ts';

const greeting = {
  QMP: { version: { qemu: { micro: 22, minor: 2, major: 7 }, package: 'Debian' }, capabilities: ['oob'] },
};
const samples = [
  greeting,
  { return: {}, id: 1 },
  { id: 2, error: { class: 'GenericError', desc: "Duplicate ID 'nd0'" } },
  { error: { class: 'GenericError', desc: 'JSON parse error' } },
  { timestamp: { seconds: 1795253603, microseconds: 654257 }, event: 'DEVICE_DELETED', data: { device: 'pf0' } },
  { timestamp: { seconds: -1, microseconds: -1 }, event: 'STOP' },
];

/** Cuts bytes at the given places. */
function cutAt(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const sorted = [0, ...places.map((each) => each % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

describe('LineFramer', () => {
  it('finds every line, wherever the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.jsonValue({ stringUnit: 'binary' }), fc.constantFrom('\r\n', '\n', '\r\n\r\n')), {
          maxLength: 6,
        }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (values, places) => {
          const text = values.map(([each, end]) => `${JSON.stringify(each)}${end}`).join('');
          const framer = new LineFramer(1_000_000);
          const got = cutAt(Buffer.from(text), places).flatMap((part) => [...framer.push(part)]);
          expect(got.map((each) => JSON.parse(each))).toEqual(values.map(([each]) => JSON.parse(JSON.stringify(each))));
          expect(framer.pendingBytes).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('never does anything but yield or refuse, whatever bytes come, and holds no more than the limit', () => {
    const change = fc.record({ at: fc.nat(), with: fc.uint8Array({ maxLength: 4 }), drop: fc.nat({ max: 4 }) });
    let refused = 0;
    let taken = 0;
    fc.assert(
      fc.property(
        fc.shuffledSubarray(samples, { minLength: 1 }),
        fc.array(change, { maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (messages, changes, places) => {
          let bytes = Buffer.from(messages.map((each) => `${JSON.stringify(each)}\r\n`).join(''));
          for (const { at, with: put, drop } of changes) {
            const place = at % (bytes.length + 1);
            bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + drop)]);
          }
          const framer = new LineFramer(200);
          try {
            for (const part of cutAt(bytes, places)) {
              for (const line of framer.push(part)) {
                readMessage(line);
                taken += 1;
              }
              expect(framer.pendingBytes).toBeLessThanOrEqual(200);
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

  it('refuses a line over the limit, whole or in parts, and takes one of just that length', () => {
    const text = Buffer.from(`${'x'.repeat(100)}\n`);
    expect([...new LineFramer(100).push(text)]).toEqual(['x'.repeat(100)]);
    const exact = new LineFramer(100);
    expect([...text].flatMap((byte) => [...exact.push(Buffer.of(byte))])).toHaveLength(1);
    expect(() => [...new LineFramer(99).push(text)]).toThrow(ProtocolError);
    expect(() => [...new LineFramer(99).push(text.subarray(0, 100))]).toThrow(ProtocolError);
    const inParts = new LineFramer(99);
    expect(() => [...text].flatMap((byte) => [...inParts.push(Buffer.of(byte))])).toThrow(ProtocolError);
  });
});

describe('readMessage', () => {
  it('reads each kind', () => {
    expect(samples.map((each) => readMessage(JSON.stringify(each)))).toEqual([
      {
        kind: 'greeting',
        greeting: { version: { major: 7, minor: 2, micro: 22, package: 'Debian' }, capabilities: ['oob'] },
      },
      { kind: 'return', id: 1, value: {} },
      { kind: 'error', id: 2, errorClass: 'GenericError', desc: "Duplicate ID 'nd0'" },
      { kind: 'error', id: undefined, errorClass: 'GenericError', desc: 'JSON parse error' },
      { kind: 'event', event: { event: 'DEVICE_DELETED', data: { device: 'pf0' }, timestampMs: 1795253603654.257 } },
      { kind: 'event', event: { event: 'STOP', data: {}, timestampMs: Number.NaN } },
    ]);
  });

  it.each(['[]', '1', '{', '{}', '{"QMP":{}}', '{"error":{}}', '{"id":1}', '{"psk":hunter2}'])('refuses %s', (line) => {
    expect(() => readMessage(line)).toThrow(ProtocolError);
    expect(() => readMessage(line)).not.toThrow('hunter2');
  });
});
