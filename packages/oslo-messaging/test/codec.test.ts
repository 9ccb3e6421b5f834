import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeReply, decodeRequest, encodeReply, encodeRequest, type Reply, type Request } from '../src/codec.ts';
import { EncodeError } from '../src/errors.ts';

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
const json = fc.jsonValue({ maxDepth: 5 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const fields = fc.dictionary(name, json, { maxKeys: 5 });
const request: fc.Arbitrary<Request> = fc.record({
  method: name,
  args: fields,
  version: fc.tuple(fc.nat(99), fc.nat(99)).map((parts) => parts.join('.')),
  namespace: fc.option(name),
  uniqueId: fc.option(fc.uuid()),
  reply: fc.option(fc.record({ msgId: fc.uuid(), replyQueue: name })),
  timeoutSec: fc.constant(null),
  context: fields,
});
const reply: fc.Arbitrary<Reply> = fc.record({
  msgId: fc.uuid(),
  uniqueId: fc.option(fc.uuid()),
  result: json,
  failure: fc.option(name),
  ending: fc.boolean(),
});

function envelope(inner: unknown, version: unknown = '2.0'): Buffer {
  return Buffer.from(JSON.stringify({ 'oslo.version': version, 'oslo.message': JSON.stringify(inner) }));
}

describe('codec', () => {
  it('gives back every request it wrote', () => {
    fc.assert(
      fc.property(request, fc.integer({ min: 1, max: 9999 }), (sent, seconds) => {
        const whole = sent.reply === null ? sent : { ...sent, timeoutSec: seconds };
        expect(decodeRequest(encodeRequest(whole))).toEqual({ ok: true, value: whole });
      }),
    );
  });

  it('gives back every reply it wrote', () => {
    fc.assert(
      fc.property(reply, (sent) => {
        expect(decodeReply(encodeReply(sent))).toEqual({ ok: true, value: sent });
      }),
    );
  });

  it('never throws on any bytes, nor on a mutated frame', () => {
    const mutated = fc
      .tuple(request, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
      .map(([sent, edits, cut]) => {
        const body = encodeRequest(sent);
        for (const [at, byte] of edits) body[at % body.length] = byte;
        return body.subarray(0, cut % 3 === 0 ? cut % body.length : body.length);
      });
    fc.assert(
      fc.property(
        fc.oneof(
          mutated,
          fc.uint8Array().map(Buffer.from),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (body) => {
          for (const decoded of [decodeRequest(body), decodeReply(body)]) expect(typeof decoded.ok).toBe('boolean');
        },
      ),
    );
  });

  it('never throws on an inner object of any types', () => {
    const keys = [
      'method',
      'args',
      'version',
      'namespace',
      '_unique_id',
      '_msg_id',
      '_reply_q',
      '_timeout',
      'failure',
      'ending',
    ];
    const inner = fc.dictionary(fc.constantFrom(...keys), fc.oneof(json, fc.constant('1.0')));
    fc.assert(
      fc.property(inner, (value) => {
        const decoded = decodeRequest(envelope(value));
        if (decoded.ok) expect(typeof decoded.value.method).toBe('string');
        decodeReply(envelope(value));
      }),
    );
  });

  it('writes the envelope that oslo.messaging writes: the message is text inside the envelope', () => {
    const body = encodeRequest({
      method: 'ping',
      args: { arg: 1 },
      version: '1.1',
      namespace: null,
      uniqueId: 'u',
      reply: { msgId: 'm', replyQueue: 'reply_1' },
      timeoutSec: null,
      context: { request_id: 'req-1' },
    });
    const outer = JSON.parse(body.toString()) as Record<string, string>;
    expect(outer['oslo.version']).toBe('2.0');
    expect(JSON.parse(outer['oslo.message'] ?? '')).toEqual({
      method: 'ping',
      args: { arg: 1 },
      version: '1.1',
      _unique_id: 'u',
      _msg_id: 'm',
      _reply_q: 'reply_1',
      _timeout: null,
      _context_request_id: 'req-1',
    });
  });

  it.each([
    ['not-utf8', Buffer.from([0xff, 0xfe])],
    ['not-json', Buffer.from('{')],
    ['not-json', Buffer.from('{"oslo.version":"2.0","oslo.message":"{"}')],
    ['bad-envelope', Buffer.from('[]')],
    ['bad-envelope', Buffer.from('{"oslo.version":"2.0","oslo.message":{}}')],
    ['bad-envelope', envelope([])],
    ['envelope-version', envelope({ method: 'x' }, '3.0')],
    ['bad-method', envelope({ method: 1 })],
    ['bad-args', envelope({ method: 'x', args: [] })],
    ['bad-version', envelope({ method: 'x', version: 'one' })],
    ['bad-namespace', envelope({ method: 'x', namespace: {} })],
    ['bad-unique-id', envelope({ method: 'x', _unique_id: 7 })],
    ['bad-reply-address', envelope({ method: 'x', _msg_id: 'm' })],
    ['bad-reply-address', envelope({ method: 'x', _reply_q: 'q', _msg_id: 1 })],
  ])('says %s', (reason, body) => {
    expect(decodeRequest(body)).toEqual({ ok: false, reason, reply: null });
  });

  it('bounds size and depth, and still tells whom to answer', () => {
    const address = { _msg_id: 'm', _reply_q: 'q' };
    const deep = JSON.parse('['.repeat(5000) + ']'.repeat(5000)) as unknown;
    const text = `{"method":"x","args":{"a":${'['.repeat(5000)}${']'.repeat(5000)}},"_msg_id":"m","_reply_q":"q"}`;
    const body = Buffer.from(JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': text }));
    expect(Array.isArray(deep)).toBe(true);
    expect(decodeRequest(body)).toEqual({ ok: false, reason: 'too-deep', reply: { msgId: 'm', replyQueue: 'q' } });
    expect(decodeRequest(envelope({ method: 'x', ...address }), { maxBodyBytes: 10 })).toMatchObject({
      reason: 'too-large',
    });
    expect(
      decodeRequest(envelope({ method: 'x', args: { text: '[[[[{{{{\\"' }, ...address }), { maxDepth: 2 }).ok,
    ).toBe(true);
  });

  it('keeps a member named __proto__ a plain member', () => {
    const decoded = decodeRequest(
      Buffer.from('{"method":"x","args":{"__proto__":{"a":1}},"_context___proto__":{"b":1}}'),
    );
    expect(decoded.ok && Object.hasOwn(decoded.value.context, '__proto__')).toBe(true);
    expect(decoded.ok && (decoded.value.context as { b?: unknown }).b).toBeUndefined();
  });

  it('refuses to write what JSON cannot hold', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const result of [cycle, 10n]) {
      expect(() => encodeReply({ msgId: 'm', uniqueId: null, result, failure: null, ending: true })).toThrow(
        EncodeError,
      );
    }
  });

  it.each([60, 1])('takes a whole number of seconds as call-monitor time: %s', (seconds) => {
    expect(decodeRequest(envelope({ method: 'x', _timeout: seconds }))).toMatchObject({
      value: { timeoutSec: seconds },
    });
  });

  it.each([null, 0, -1, 1.5, '60', true])('takes no call-monitor time from %s', (seconds) => {
    expect(decodeRequest(envelope({ method: 'x', _timeout: seconds }))).toMatchObject({ value: { timeoutSec: null } });
  });
});
