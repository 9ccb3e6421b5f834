import {
  type BadMessageReason,
  type Decoded,
  type DecodeLimits,
  open,
  packContext,
  type ReplyTo,
  replyTo,
  seal,
  unpackContext,
} from './envelope.ts';
import { isRecord } from './json.ts';

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
  packContext(inner, request.context);
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
  const context = unpackContext(inner);
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
