import { randomUUID } from 'node:crypto';
import { backoffDelay } from './backoff.ts';
import { encodeReply } from './codec.ts';
import type { ReplyTo } from './envelope.ts';
import { ConnectionLostError, EncodeError, RefusedError, UnroutableError } from './errors.ts';
import { encodeFailure, type FailureParts, toFailureParts } from './failure.ts';
import type { Publisher } from './publisher.ts';
import { createRecentIds } from './recent-ids.ts';
import { deadline, pause } from './signals.ts';
import type { Transport } from './transport.ts';

/** Result or failure of a call. */
export type Outcome =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly failure: FailureParts };

/** `sent`: the broker has it in the caller's queue. `gone`: the caller's queue is no more. `failed`: no broker in time. */
export type ReplyEnd = 'sent' | 'gone' | 'failed';

/** Sends replies to callers. */
export type Replier = {
  /** Sends the answer; tries again while the broker or the reply queue is away, within the limit. Never throws. */
  answer(to: ReplyTo, outcome: Outcome): Promise<ReplyEnd>;
  /** Sends one call-monitor heartbeat. @throws as Publisher.publish */
  heartbeat(to: ReplyTo, signal: AbortSignal): Promise<void>;
};

/**
 * Replies are mandatory, so that a caller who is gone is noticed. After a broker restart a caller may need a moment to declare
 * its queue again, so an unroutable reply is tried again for `retryMs`; a queue that stayed away is then tried once only.
 */
export function createReplier(
  transport: Transport,
  publisher: Publisher,
  retryMs: number,
  closing: AbortSignal,
): Replier {
  const gone = createRecentIds(256);

  async function send(to: ReplyTo, body: Buffer, signal: AbortSignal): Promise<void> {
    await publisher.publish({ exchange: null, routingKey: to.replyQueue, body, mandatory: true }, signal);
  }

  async function tryUntil(to: ReplyTo, body: Buffer, limit: AbortSignal): Promise<ReplyEnd> {
    let end: ReplyEnd = 'failed';
    for (let attempt = 0; !limit.aborted; attempt++) {
      try {
        await send(to, body, limit);
        return 'sent';
      } catch (error) {
        if (error instanceof UnroutableError) {
          end = 'gone';
          if (gone.has(to.replyQueue)) break;
        } else if (error instanceof ConnectionLostError || error instanceof RefusedError) {
          end = 'failed';
        } else {
          break; // closed, or out of time
        }
        await pause(100 + backoffDelay(attempt, { baseMs: 250, maxMs: 2000 }, transport.random), limit);
      }
    }
    return end;
  }

  return {
    async answer(to, outcome) {
      const body = encodeAnswer(to, outcome);
      const timer = deadline(retryMs, 'reply', closing);
      const end = await tryUntil(to, body, timer.signal).finally(timer.clear);
      if (end === 'sent') return end;
      if (end === 'gone') gone.add(to.replyQueue);
      transport.logger.warn({ msgId: to.msgId, end }, 'a reply could not be delivered');
      return end;
    },
    async heartbeat(to, signal) {
      const reply = { msgId: to.msgId, uniqueId: newId(), result: null, failure: null, ending: false };
      await send(to, encodeReply(reply), signal);
    },
  };
}

function encodeAnswer(to: ReplyTo, outcome: Outcome): Buffer {
  const base = { msgId: to.msgId, uniqueId: newId(), ending: true } as const;
  try {
    return outcome.ok
      ? encodeReply({ ...base, result: outcome.result, failure: null })
      : encodeReply({ ...base, result: null, failure: encodeFailure(outcome.failure) });
  } catch (error) {
    // A result or kwargs that JSON cannot hold is the handler's fault; the caller still gets an end.
    if (!(error instanceof EncodeError || error instanceof TypeError)) throw error;
    return encodeReply({ ...base, result: null, failure: encodeFailure(toFailureParts(error)) });
  }
}

/** A new message id: a version 4 UUID as 32 hex digits. */
export function newId(): string {
  return randomUUID().replaceAll('-', '');
}
