import { EncodeError } from './errors.ts';
import { isRecord, jsonDepth } from './json.ts';

/** Version of the envelope, not of the calls in it (oslo.messaging `oslo.version`). */
export const envelopeVersion = '2.0';

/** Where and under which id an answer is expected. */
export type ReplyTo = {
  readonly msgId: string;
  readonly replyQueue: string;
};

/** Bounds of what is decoded. */
export type DecodeLimits = {
  /** Bytes of the AMQP body. Default 8 MiB. */
  readonly maxBodyBytes?: number;
  /** Nesting of arrays and objects. Default 64. */
  readonly maxDepth?: number;
};

/** A decoded message, or why it is none and whom to tell. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: BadMessageReason; readonly reply: ReplyTo | null };

/** Why a message was not understood. */
export type BadMessageReason =
  | 'too-large'
  | 'not-utf8'
  | 'not-json'
  | 'bad-envelope'
  | 'envelope-version'
  | 'too-deep'
  | 'bad-method'
  | 'bad-args'
  | 'bad-version'
  | 'bad-namespace'
  | 'bad-unique-id'
  | 'bad-reply-address'
  | 'bad-reply'
  | 'bad-priority';

/** Default bounds. */
export const defaultLimits = { maxBodyBytes: 8 * 1024 * 1024, maxDepth: 64 } as const;

const contextPrefix = '_context_';

/** Adds the request context to an inner message, each name with the `_context_` prefix. */
export function packContext(inner: Record<string, unknown>, context: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(context)) inner[contextPrefix + key] = value;
}

/** The request context of an inner message, its names without the prefix. */
export function unpackContext(inner: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(inner)
      .filter(([key]) => key.startsWith(contextPrefix))
      .map(([key, value]) => [key.slice(contextPrefix.length), value]),
  );
}

/** The AMQP body around an inner message. @throws EncodeError when it holds what JSON cannot. */
export function seal(inner: Record<string, unknown>): Buffer {
  try {
    return Buffer.from(JSON.stringify({ 'oslo.version': envelopeVersion, 'oslo.message': JSON.stringify(inner) }));
  } catch (error) {
    throw new EncodeError('the message cannot be written as JSON', { cause: error });
  }
}

/** The inner message of an AMQP body, within the bounds. Never throws. */
export function open(body: Buffer, limits: DecodeLimits): Decoded<Record<string, unknown>> {
  const bad = (reason: BadMessageReason, reply: ReplyTo | null = null) => ({ ok: false, reason, reply }) as const;
  const maxDepth = limits.maxDepth ?? defaultLimits.maxDepth;
  if (body.length > (limits.maxBodyBytes ?? defaultLimits.maxBodyBytes)) return bad('too-large');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return bad('not-utf8');
  }
  const outer = parse(text);
  if (outer === undefined) return bad('not-json');
  if (!isRecord(outer)) return bad('bad-envelope');
  let inner: unknown = outer;
  // A message without an envelope is version 1.0 of the format, which oslo.messaging still reads.
  if ('oslo.version' in outer && 'oslo.message' in outer) {
    if (outer['oslo.version'] !== envelopeVersion) return bad('envelope-version');
    if (typeof outer['oslo.message'] !== 'string') return bad('bad-envelope');
    text = outer['oslo.message'];
    inner = parse(text);
    if (inner === undefined) return bad('not-json');
  }
  if (!isRecord(inner)) return bad('bad-envelope');
  if (jsonDepth(text) > maxDepth) return bad('too-deep', replyTo(inner) ?? null);
  return { ok: true, value: inner };
}

/** Where an answer goes. Null: a cast. Undefined: an address that cannot be used. */
export function replyTo(inner: Record<string, unknown>): ReplyTo | null | undefined {
  const msgId = inner._msg_id ?? null;
  const replyQueue = inner._reply_q ?? null;
  if (msgId === null && replyQueue === null) return null;
  if (typeof msgId !== 'string' || msgId === '' || msgId.length > 255) return undefined;
  if (typeof replyQueue !== 'string' || replyQueue === '' || Buffer.byteLength(replyQueue) > 255) return undefined;
  return { msgId, replyQueue };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // JSON has no undefined, so it says "not JSON"
  }
}
