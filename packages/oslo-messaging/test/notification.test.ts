import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EncodeError } from '../src/errors.ts';
import {
  decodeNotification,
  encodeNotification,
  type Notification,
  notificationPriorities,
} from '../src/notification.ts';

const json = fc.jsonValue({ maxDepth: 5 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const notification: fc.Arbitrary<Notification> = fc.record({
  messageId: fc.uuid(),
  publisherId: text,
  eventType: text,
  priority: fc.constantFrom(...notificationPriorities),
  payload: json,
  timestamp: text,
  uniqueId: fc.option(fc.uuid()),
  context: fc.dictionary(text, json, { maxKeys: 5 }),
});
const sample: Notification = {
  messageId: 'm',
  publisherId: 'compute.h1',
  eventType: 'instance.create.end',
  priority: 'info',
  payload: { a: 1 },
  timestamp: '2026-01-02 03:04:05.000000',
  uniqueId: 'u',
  context: { request_id: 'req-1' },
};

function envelope(inner: unknown, version: unknown = '2.0'): Buffer {
  return Buffer.from(JSON.stringify({ 'oslo.version': version, 'oslo.message': JSON.stringify(inner) }));
}

/** What any decoded value must be, whatever the bytes were. */
function check(body: Buffer): void {
  const decoded = decodeNotification(body);
  if (!decoded.ok) {
    expect(decoded.reply).toBeNull();
    return;
  }
  const { value } = decoded;
  expect(notificationPriorities).toContain(value.priority);
  for (const part of [value.messageId, value.publisherId, value.eventType, value.timestamp])
    expect(typeof part).toBe('string');
  expect(value.uniqueId === null || typeof value.uniqueId === 'string').toBe(true);
  expect(value.payload).not.toBe(undefined);
}

describe('notification codec', () => {
  it('gives back every notification it wrote', () => {
    fc.assert(
      fc.property(notification, (sent) => {
        expect(decodeNotification(encodeNotification(sent))).toEqual({ ok: true, value: sent });
      }),
      { numRuns: 500 },
    );
  });

  it('lives through mutated, cut and joined frames, and any bytes', () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 });
    const mutated = fc.tuple(notification, edits, fc.nat(), fc.boolean()).map(([sent, changes, cut, twice]) => {
      const body = encodeNotification(sent);
      for (const [at, byte] of changes) body[at % body.length] = byte;
      const part = cut % 3 === 0 ? body.subarray(0, cut % body.length) : body;
      return twice ? Buffer.concat([part, body]) : part;
    });
    const any = fc.oneof(
      { weight: 4, arbitrary: mutated },
      fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((value) => Buffer.from(value)),
    );
    fc.assert(fc.property(any, check), { numRuns: 3000 });
  });

  it('lives through an inner object of any types', () => {
    const keys = [
      'message_id',
      'publisher_id',
      'event_type',
      'priority',
      'payload',
      'timestamp',
      '_unique_id',
    ] as const;
    const value = fc.oneof(json, fc.constantFrom('INFO', 'warn', 'LOUD', '__proto__', null));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys, '_context_a'), value), (inner) => {
        check(envelope(inner));
        check(Buffer.from(JSON.stringify(inner)));
      }),
      { numRuns: 2000 },
    );
  });

  it('writes what oslo.messaging writes with the driver messagingv2', () => {
    const outer = JSON.parse(encodeNotification(sample).toString()) as Record<string, string>;
    expect(outer['oslo.version']).toBe('2.0');
    expect(JSON.parse(outer['oslo.message'] ?? '')).toEqual({
      message_id: 'm',
      publisher_id: 'compute.h1',
      event_type: 'instance.create.end',
      priority: 'INFO',
      payload: { a: 1 },
      timestamp: '2026-01-02 03:04:05.000000',
      _unique_id: 'u',
      _context_request_id: 'req-1',
    });
  });

  it.each([
    ['not-utf8', Buffer.from([0xff])],
    ['not-json', Buffer.from('{')],
    ['bad-envelope', Buffer.from('7')],
    ['envelope-version', envelope({ priority: 'INFO' }, '3.0')],
    ['bad-priority', envelope({})],
    ['bad-priority', envelope({ priority: 'LOUD' })],
    ['bad-priority', envelope({ priority: 7 })],
    ['bad-unique-id', envelope({ priority: 'INFO', _unique_id: 7 })],
    ['bad-unique-id', envelope({ priority: 'INFO', _unique_id: 'x'.repeat(256) })],
    ['too-deep', Buffer.from(`{"priority":"INFO","payload":${'['.repeat(100)}${']'.repeat(100)}}`)],
  ])('says %s', (reason, body) => {
    expect(decodeNotification(body)).toEqual({ ok: false, reason, reply: null });
  });

  it('keeps to the limits it is given', () => {
    const body = encodeNotification(sample);
    expect(decodeNotification(body, { maxBodyBytes: body.length - 1 })).toMatchObject({ reason: 'too-large' });
    expect(decodeNotification(body, { maxBodyBytes: body.length }).ok).toBe(true);
    expect(decodeNotification(body, { maxDepth: 1 })).toMatchObject({ reason: 'too-deep' });
  });

  it('throws EncodeError for what JSON cannot hold', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const payload of [1n, cycle]) expect(() => encodeNotification({ ...sample, payload })).toThrow(EncodeError);
  });
});
