import { backoffDelay } from './backoff.ts';
import type { RedfishClient } from './client.ts';
import { ClosedError, HttpError, RedfishError, UnsupportedError } from './errors.ts';
import { type RedfishMessage, toMessage } from './extended-info.ts';
import { arrayOf, isObject, type JsonObject, linkOf, parseObject, textOf } from './json.ts';
import { readServiceRoot } from './service-root.ts';
import { type CallOptions, deadline, pause } from './signals.ts';
import { sseParser } from './sse.ts';

/** One record of an Event payload (schema Event). */
export type RedfishEvent = RedfishMessage & {
  readonly eventId: string | undefined;
  readonly timestamp: string | undefined;
  /** Path of the resource it is about. */
  readonly origin: string | undefined;
  readonly context: string | undefined;
  readonly raw: JsonObject;
};

/** Options of `streamEvents`. */
export type StreamOptions = {
  readonly signal: AbortSignal;
  /** Query of the stream, for example `$filter=EventFormatType eq Event`; percent-encoded by us. */
  readonly filter?: string;
  /** A stream that is silent for so long is opened anew; default 300,000. */
  readonly idleMs?: number;
};

/** Path of the event stream (schema EventService, ServerSentEventUri); undefined when the service has none. */
export async function eventStreamPath(client: RedfishClient, options: CallOptions = {}): Promise<string | undefined> {
  const { eventService } = await readServiceRoot(client, options);
  if (eventService === undefined) return undefined;
  try {
    return textOf((await client.get(eventService, options)).body, 'ServerSentEventUri');
  } catch (error) {
    if (error instanceof HttpError && [404, 501].includes(error.status)) return undefined;
    throw error;
  }
}

/** The records of an Event payload; other payloads (metric reports) have none. */
export function eventsOf(payload: JsonObject): readonly RedfishEvent[] {
  return arrayOf(payload, 'Events')
    .filter(isObject)
    .map((raw) => ({
      ...toMessage(raw),
      eventId: textOf(raw, 'EventId'),
      timestamp: textOf(raw, 'EventTimestamp'),
      origin: linkOf(raw, 'OriginOfCondition') ?? textOf(raw, 'OriginOfCondition'),
      context: textOf(raw, 'Context') ?? textOf(payload, 'Context'),
      raw,
    }));
}

/**
 * The service's events as they come (DSP0266 "Server-sent events"), for ever: a stream that ends is opened again with back-off, full
 * jitter and `Last-Event-ID`, and a notice tells. What happened in between may be lost where the service keeps no history, so look
 * at what matters after `stream-connected`. Ends without an error when the signal aborts.
 * @throws UnsupportedError when the service offers no stream; ClosedError; HttpError for a refusal that will not pass.
 */
export async function* streamEvents(
  client: RedfishClient,
  options: StreamOptions,
): AsyncGenerator<RedfishEvent, void, undefined> {
  const { signal, idleMs = 300_000 } = options;
  let lastId: string | undefined;
  let path: string | undefined;
  for (let attempt = 0; ; attempt++) {
    let asked: number | undefined;
    let code = 'ended';
    try {
      path ??= await withFilter(client, options);
      for await (const { id, payload, retryMs } of openOnce(client, path, lastId, idleMs, signal)) {
        attempt = 0;
        lastId = id ?? lastId;
        asked = retryMs ?? asked;
        yield* eventsOf(payload);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error)) throw error;
      code = error.code;
    }
    if (signal.aborted) return;
    const delayMs = Math.min(60_000, (asked ?? 0) + backoffDelay(attempt, client.settings.backoff));
    client.notify({ kind: 'stream-lost', path: path ?? '', code, delayMs });
    try {
      await pause(delayMs, signal);
    } catch {
      return; // Only the signal ends a pause, and it ends the stream in peace.
    }
  }
}

async function withFilter(client: RedfishClient, options: StreamOptions): Promise<string> {
  const path = await eventStreamPath(client, { signal: options.signal });
  if (path === undefined) throw new UnsupportedError('the service offers no event stream');
  if (options.filter === undefined) return path;
  return `${path}${path.includes('?') ? '&' : '?'}$filter=${encodeURIComponent(options.filter)}`;
}

async function* openOnce(
  client: RedfishClient,
  path: string,
  lastId: string | undefined,
  idleMs: number,
  outer: AbortSignal,
): AsyncGenerator<{ id: string | undefined; payload: JsonObject; retryMs: number | undefined }, void, undefined> {
  const local = new AbortController();
  const signal = AbortSignal.any([outer, local.signal]);
  const headers = { Accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'Last-Event-ID': lastId }) };
  const opening = deadline(client.settings.timeoutMs, 'open event stream');
  const abandon = () => local.abort(opening.signal.reason);
  opening.signal.addEventListener('abort', abandon, { once: true });
  const opened = client.stream(path, headers, signal);
  const message = await opened.finally(() => {
    opening.signal.removeEventListener('abort', abandon);
    opening[Symbol.dispose]();
  });
  client.notify({ kind: 'stream-connected', path });
  const idle = setTimeout(() => message.destroy(), idleMs);
  try {
    const parser = sseParser(client.settings.maxBytes);
    for await (const piece of message) {
      idle.refresh();
      for (const { id, data } of parser.push(piece as Buffer)) {
        const payload = payloadOf(data, client.settings.maxDepth);
        if (payload !== undefined) yield { id, payload, retryMs: parser.retryMs };
      }
    }
  } catch (error) {
    // A stream that breaks off has no other meaning than one that ends: open it again.
    if (error instanceof RedfishError) throw error;
  } finally {
    clearTimeout(idle);
    message.destroy();
  }
}

/** A record that is no JSON is dropped: the next one may be good. */
function payloadOf(data: string, maxDepth: number): JsonObject | undefined {
  try {
    return parseObject(Buffer.from(data), maxDepth, 'event');
  } catch {
    return undefined;
  }
}

function isPassing(error: unknown): error is RedfishError {
  if (!(error instanceof RedfishError) || error instanceof ClosedError || error instanceof UnsupportedError)
    return false;
  if (error instanceof HttpError) return error.status === 429 || error.status >= 500;
  return error.code !== 'tls' && error.code !== 'redirect';
}
