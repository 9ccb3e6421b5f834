import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cipherSuite } from '../src/cipher-suites.ts';
import { convertReading, sensorFactors } from '../src/commands/sensor-conversion.ts';
import { parseFru, parseSdr, parseSelEntry } from '../src/index.ts';
import { checksum, decodeResponse, encodeRequest } from '../src/message.ts';
import { decodePlain, decodeSetup, encodePlain, encodeSetup, protect, unprotect } from '../src/packet.ts';
import { hmac, type SessionKeys, sessionKeys } from '../src/rakp.ts';
import { RequestSlots } from '../src/request-slots.ts';
import { SequenceWindow } from '../src/sequence-window.ts';
import { decodeSol, encodeSol } from '../src/sol/sol-packet.ts';
import { compactSdr, fruArea, fruImage, fullSdr, packSixBit } from './sdr-images.ts';

function keysFor(id: number): SessionKeys {
  const fixed = (byte: number) => Buffer.alloc(16, byte);
  const ids = { consoleSessionId: 1, bmcSessionId: 2, role: 0x14, username: Buffer.from('admin') };
  const random = { consoleRandom: fixed(1), bmcRandom: fixed(2), bmcGuid: fixed(3) };
  return sessionKeys({ suite: cipherSuite(id), ...ids, ...random }, Buffer.from('secret12'));
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));

describe('packets', () => {
  it.each([3, 17])('come back as they were sealed, suite %i', (id) => {
    const keys = keysFor(id);
    const packet = fc.record({
      payloadType: fc.constantFrom(0, 1),
      sessionId: fc.integer({ min: 1, max: 0xffff_ffff }),
      sequence: fc.integer({ min: 1, max: 0xffff_ffff }),
      payload: bytes(300),
    });
    fc.assert(
      fc.property(packet, (given) => {
        const sealed = protect(keys, given);
        expect(unprotect(keys, given.sessionId, sealed)).toMatchObject(given);
        expect(unprotect(keys, given.sessionId ^ 1, sealed)).toBeUndefined();
      }),
    );
  });

  it('are dropped when any bit is changed, bytes are missing or added, or the key is another', () => {
    const keys = keysFor(17);
    const whole = protect(keys, { payloadType: 0, sessionId: 7, sequence: 9, payload: Buffer.from('hello world') });
    for (let bit = 32; bit < whole.length * 8; bit += 1) {
      const changed = Buffer.from(whole);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(unprotect(keys, 7, changed), `bit ${bit}`).toBeUndefined();
    }
    for (let cut = 1; cut < whole.length; cut += 1) expect(unprotect(keys, 7, whole.subarray(0, -cut))).toBeUndefined();
    expect(unprotect(keys, 7, Buffer.concat([whole, Buffer.of(0)]))).toBeUndefined();
    expect(unprotect(keysFor(3), 7, whole)).toBeUndefined();
  });

  it('are dropped when they are signed well but not encrypted, or padded wrongly', () => {
    const keys = keysFor(17);
    const whole = protect(keys, { payloadType: 0, sessionId: 7, sequence: 9, payload: Buffer.from('hello') });
    const resign = (packet: Buffer) => {
      const signed = packet.subarray(4, -16);
      return Buffer.concat([packet.subarray(0, -16), hmac(keys.suite, keys.k1, signed).subarray(0, 16)]);
    };
    expect(unprotect(keys, 7, resign(whole))).toMatchObject({ payload: Buffer.from('hello') });
    const clear = Buffer.from(whole);
    clear[5] = 0x40;
    expect(unprotect(keys, 7, resign(clear))).toBeUndefined();
    // A change of the initialization vector is a change of the first block: here of its padding.
    const padded = Buffer.from(whole);
    padded[16 + 8] = (padded[16 + 8] ?? 0) ^ 1;
    expect(unprotect(keys, 7, resign(padded))).toBeUndefined();
  });

  it('outside of a session come back as they were', () => {
    fc.assert(
      fc.property(bytes(200), (payload) => {
        expect(decodePlain(encodePlain(payload))).toEqual(payload);
        expect(decodeSetup(encodeSetup(0x13, payload))).toMatchObject({ payloadType: 0x13, payload });
      }),
    );
  });
});

describe('messages', () => {
  it('have checksums that add up to nothing', () => {
    const request = fc.record({
      netFn: fc.integer({ min: 0, max: 31 }).map((half) => half * 2),
      command: fc.integer({ min: 0, max: 255 }),
      lun: fc.integer({ min: 0, max: 3 }),
      data: bytes(100),
    });
    fc.assert(
      fc.property(request, fc.integer({ min: 0, max: 63 }), (given, sequence) => {
        const sent = encodeRequest(given, sequence);
        expect(checksum(sent.subarray(0, 3))).toBe(0);
        expect(checksum(sent.subarray(3))).toBe(0);
        expect(decodeResponse(sent)).toBeUndefined();
        // What a BMC makes of it: the addresses swapped, netFn odd, a completion code.
        const head = Buffer.of(0x81, (given.netFn | 1) << 2);
        const body = Buffer.concat([Buffer.of(0x20, sequence << 2, given.command, 0xc3), given.data]);
        const answer = Buffer.concat([head, Buffer.of(checksum(head)), body, Buffer.of(checksum(body))]);
        expect(decodeResponse(answer)).toEqual({
          netFn: given.netFn,
          command: given.command,
          sequence,
          completionCode: 0xc3,
          data: given.data,
        });
        answer[5] = (answer[5] ?? 0) ^ 1;
        expect(decodeResponse(answer)).toBeUndefined();
      }),
    );
  });

  it('of SOL come back as they were', () => {
    const packet = fc.record({
      sequence: fc.integer({ min: 0, max: 15 }),
      acked: fc.integer({ min: 0, max: 15 }),
      accepted: fc.integer({ min: 0, max: 255 }),
      flags: fc.integer({ min: 0, max: 255 }),
      data: bytes(255),
    });
    fc.assert(
      fc.property(packet, (given) => {
        expect(decodeSol(encodeSol(given))).toEqual(given);
      }),
    );
    expect(decodeSol(Buffer.alloc(3))).toBeUndefined();
  });
});

describe('sequence numbers', () => {
  it('of the BMC count once, and not when they are far behind', () => {
    const window = new SequenceWindow();
    expect([5, 5, 4, 4, 30, 14, 13, 29, 29, 0].map((n) => window.accept(n))).toEqual([
      true,
      false,
      true,
      false,
      true,
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  it('of the BMC wrap around', () => {
    const window = new SequenceWindow();
    expect([0xffff_fffe, 2, 0xffff_ffff, 0xffff_ffff, 1, 2].map((n) => window.accept(n))).toEqual([
      true,
      true,
      true,
      false,
      true,
      false,
    ]);
  });

  it('of the BMC, however they come: none counts twice', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 })), (numbers) => {
        const window = new SequenceWindow();
        const taken = numbers.filter((n) => window.accept(n));
        expect(new Set(taken).size).toBe(taken.length);
      }),
    );
  });

  it('of requests are unique, and rest after a repeat', () => {
    let now = 1000;
    const slots = new RequestSlots(50, () => now);
    const held = Array.from({ length: 32 }, () => slots.take());
    expect(new Set(held).size).toBe(32);
    for (const slot of held) slots.release(slot, slot === 3);
    const next = Array.from({ length: 63 }, () => slots.take());
    expect(next).not.toContain(3);
    expect(new Set(next).size).toBe(63);
    for (const slot of next) slots.release(slot, false);
    now += 51;
    expect(Array.from({ length: 64 }, () => slots.take())).toContain(3);
  });
});

describe('records', () => {
  const printable = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x5f }).map((code) => String.fromCharCode(code)),
    maxLength: 16,
  });

  it('six-bit ASCII comes back, padded with spaces', () => {
    fc.assert(
      fc.property(printable, (text) => {
        const fru = parseFru(
          fruImage(fruArea([1], [{ type: 2, bytes: packSixBit(text) }, 'x']), Buffer.alloc(0), Buffer.alloc(0)),
        );
        expect((fru.chassis?.partNumber ?? '').trimEnd()).toBe(text.trimEnd());
      }),
    );
  });

  it('text of another language is Unicode, binary is hex', () => {
    const fields = [
      { type: 3, bytes: Buffer.from('Größe', 'utf16le') },
      { type: 0, bytes: Buffer.of(0xde, 0xad) },
    ] as const;
    const fru = parseFru(fruImage(Buffer.alloc(0), Buffer.alloc(0), fruArea([7], fields)));
    expect(fru.product).toMatchObject({
      manufacturer: 'Größe',
      productName: 'dead',
      partNumber: undefined,
      custom: [],
    });
  });

  it('one damaged FRU area leaves the others', () => {
    const image = fruImage(
      fruArea([1], ['part', 'serial']),
      fruArea([0, 0, 0, 0], ['maker', 'board', 'serial', 'part', '']),
      fruArea([0], ['maker', 'name']),
    );
    image[12] = (image[12] ?? 0) ^ 0x01;
    const fru = parseFru(image);
    expect(fru.chassis).toBeUndefined();
    expect(fru.problems.map(({ code }) => code)).toEqual(['malformed']);
    expect(fru.board).toMatchObject({ manufactured: undefined, serialNumber: 'serial' });
    expect(fru.product).toMatchObject({ manufacturer: 'maker', productName: 'name', assetTag: undefined });
    image[0] = 2;
    expect(() => parseFru(image)).toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  it('sensor records say what they were made of', () => {
    const signed = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
    const made = fc.record({
      id: fc.integer({ min: 1, max: 0xfffe }),
      number: fc.integer({ min: 0, max: 255 }),
      type: fc.integer({ min: 1, max: 0x2c }),
      unit: fc.integer({ min: 0, max: 92 }),
      format: fc.constantFrom(0, 1, 2),
      m: signed(10),
      b: signed(10),
      bExponent: signed(4),
      rExponent: signed(4),
      name: printable.filter((text) => text.length > 0),
    });
    fc.assert(
      fc.property(made, (given) => {
        const record = parseSdr(fullSdr(given as Parameters<typeof fullSdr>[0]));
        const { m, b, bExponent, rExponent } = given;
        expect(record).toMatchObject({ kind: 'full', recordId: given.id, number: given.number, name: given.name });
        expect(record).toMatchObject({ factors: { m, b, bExponent, rExponent, linearization: 0 } });
      }),
    );
    expect(parseSdr(compactSdr(9, 4, 8, 'PSU'))).toMatchObject({
      kind: 'compact',
      number: 4,
      name: 'PSU',
      shareCount: 1,
    });
    expect(parseSdr(compactSdr(9, 4, 8, 'PSU').subarray(0, 20))).toMatchObject({
      kind: 'other',
      problem: { code: 'malformed' },
    });
  });

  it('readings convert by all formats and linearizations', () => {
    const at = (linearization: number, format: number) =>
      sensorFactors((byte) => ({ 21: format << 6, 24: linearization, 25: 2, 30: 0 })[byte] ?? 0);
    const values = Array.from({ length: 12 }, (_, kind) => convertReading(at(kind, 0), 4));
    const close = [8, Math.log(8), Math.log10(8), 3, Math.exp(8), 1e8, 256, 0.125, 64, 512, Math.sqrt(8), 0.5];
    for (const [kind, value] of values.entries())
      expect(value, `linearization ${kind}`).toBeCloseTo(close[kind] ?? Number.NaN, 9);
    expect([0, 1, 2, 3].map((format) => convertReading(at(0, format), 0xfe))).toEqual([508, -2, -4, undefined]);
    expect(convertReading(at(0x70, 0), 4)).toBeUndefined();
  });

  it('events have their time, direction and data', () => {
    const raw = Buffer.from('2a000210203065200004010181577170', 'hex');
    expect(parseSelEntry(raw)).toMatchObject({
      kind: 'event',
      recordId: 42,
      asserted: false,
      eventType: 1,
      sensorTypeName: 'Temperature',
    });
    expect(parseSelEntry(raw)).toMatchObject({ time: new Date(0x65302010 * 1000), data: Buffer.of(0x57, 0x71, 0x70) });
    expect(() => parseSelEntry(raw.subarray(0, 9))).toThrow(expect.objectContaining({ code: 'malformed' }));
  });
});
