import { EncodeError } from './errors.ts';
import { isRecord, jsonDepth } from './json.ts';

/** Version of the envelope, not of the calls in it (oslo.messaging `oslo.version`). */
export const envelopeVersion = '2.0';

/** Where and under which id an answer is expected. */
export type ReplyTo = {
  readonly msgId: string;
  readonly replyQueue: string;
};

/** A request as it is inside the envelope. */
export type Request = {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly version: string;
  readonly namespace: string | null;
  /** Null when the sender gave none; then duplicates cannot be told. */
  readonly uniqueId: string | null;
  /** Null for a cast. */
  readonly reply: ReplyTo | null;
  /** The caller's call-monitor time in whole seconds, null when it asked for no heartbeats. */
  readonly timeoutSec: number | null;
  /** The request context, its names without the `_context_` prefix. */
  readonly context: Readonly<Record<string, unknown>>;
};

/** A reply as it is inside the envelope. `ending` false is a call-monitor heartbeat. */
export type Reply = {
  readonly msgId: string;
  readonly uniqueId: string | null;
  readonly result: unknown;
  /** Null, or the failure as JSON text. */
  readonly failure: string | null;
  readonly ending: boolean;
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
  | 'bad-reply';

/** Default bounds. */
export const defaultLimits = { maxBodyBytes: 8 * 1024 * 1024, maxDepth: 64 } as const;

const contextPrefix = '_context_';

/**
 * The AMQP body of a request.
 * @throws EncodeError when args or context hold what JSON cannot (a cycle, a bigint).
 */
export function encodeRequest(request: Request): Buffer {
  const inner: Record<string, unknown> = {
    method: request.method,
    args: request.args,
    version: request.version,
  };
  if (request.namespace !== null) inner.namespace = request.namespace;
  if (request.reply !== null) {
    inner._msg_id = request.reply.msgId;
    inner._reply_q = request.reply.replyQueue;
    inner._timeout = request.timeoutSec;
  }
  if (request.uniqueId !== null) inner._unique_id = request.uniqueId;
  for (const [key, value] of Object.entries(request.context)) inner[contextPrefix + key] = value;
  return seal(inner);
}

/** The AMQP body of a reply. @throws EncodeError when the result holds what JSON cannot. */
export function encodeReply(reply: Reply): Buffer {
  return seal({
    result: reply.result ?? null,
    failure: reply.failure,
    ending: reply.ending,
    _msg_id: reply.msgId,
    _unique_id: reply.uniqueId,
  });
}

/** Reads a request. Never throws; a broken one says why, and where an answer goes if that much could be read. */
export function decodeRequest(body: Buffer, limits: DecodeLimits = {}): Decoded<Request> {
  const opened = open(body, limits);
  if (!opened.ok) return opened;
  const inner = opened.value;
  const reply = replyTo(inner);
  const bad = (reason: BadMessageReason): Decoded<Request> => ({ ok: false, reason, reply: reply ?? null });
  if (reply === undefined) return bad('bad-reply-address');
  const { method, args = {}, version = '1.0', namespace = null } = inner;
  if (typeof method !== 'string' || method === '') return bad('bad-method');
  if (!isRecord(args)) return bad('bad-args');
  if (typeof version !== 'string' || !/^\d{1,9}\.\d{1,9}(\.\d{1,9})?$/.test(version)) return bad('bad-version');
  if (namespace !== null && typeof namespace !== 'string') return bad('bad-namespace');
  const uniqueId = inner._unique_id ?? null;
  if (uniqueId !== null && (typeof uniqueId !== 'string' || uniqueId.length > 255)) return bad('bad-unique-id');
  const timeout = inner._timeout;
  const context = Object.fromEntries(
    Object.entries(inner)
      .filter(([key]) => key.startsWith(contextPrefix))
      .map(([key, value]) => [key.slice(contextPrefix.length), value]),
  );
  const timeoutSec = typeof timeout === 'number' && Number.isInteger(timeout) && timeout > 0 ? timeout : null;
  return { ok: true, value: { method, args, version, namespace, uniqueId, reply, timeoutSec, context } };
}

/** Reads a reply. Never throws. */
export function decodeReply(body: Buffer, limits: DecodeLimits = {}): Decoded<Reply> {
  const opened = open(body, limits);
  if (!opened.ok) return opened;
  const inner = opened.value;
  const bad: Decoded<Reply> = { ok: false, reason: 'bad-reply', reply: null };
  const { _msg_id: msgId, _unique_id: uniqueId = null, failure = null, ending = false, result = null } = inner;
  if (typeof msgId !== 'string' || typeof ending !== 'boolean') return bad;
  if (failure !== null && typeof failure !== 'string') return bad;
  if (uniqueId !== null && typeof uniqueId !== 'string') return bad;
  return { ok: true, value: { msgId, uniqueId, result, failure: failure === '' ? null : failure, ending } };
}

function seal(inner: Record<string, unknown>): Buffer {
  try {
    return Buffer.from(JSON.stringify({ 'oslo.version': envelopeVersion, 'oslo.message': JSON.stringify(inner) }));
  } catch (error) {
    throw new EncodeError('the message cannot be written as JSON', { cause: error });
  }
}

function open(body: Buffer, limits: DecodeLimits): Decoded<Record<string, unknown>> {
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

/** Null: a cast. Undefined: an address that cannot be used. */
function replyTo(inner: Record<string, unknown>): ReplyTo | null | undefined {
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
