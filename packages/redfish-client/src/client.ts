import type { IncomingMessage } from 'node:http';
import { makeAgent } from './agent.ts';
import { backoffDelay, retryAfterSec } from './backoff.ts';
import { type RedfishOptions, type Settings, settingsOf } from './client-options.ts';
import { ClosedError, ConnectionError, HttpError, ProtocolError, RedfishError } from './errors.ts';
import { exchange, type OutgoingRequest, openExchange, type RawAnswer } from './exchange.ts';
import { messagesOf, type RedfishMessage, secretsIn } from './extended-info.ts';
import { Gate } from './gate.ts';
import { type JsonObject, parseObject, textOf } from './json.ts';
import type { Notice } from './notice.ts';
import { locationPath, parseOrigin, pathOn } from './origin.ts';
import { makeAuthenticator } from './session.ts';
import { type CallOptions, deadline, pause } from './signals.ts';

/** An answer that was no error. */
export type Answer = {
  readonly status: number;
  /** Path the answer came from, after redirects. */
  readonly path: string;
  /** An empty object when there was no body. */
  readonly body: JsonObject;
  /** `ETag` header, else the body's `@odata.etag` (DSP0266 "ETags"). */
  readonly etag: string | undefined;
  /** Path of the `Location` header. */
  readonly location: string | undefined;
  readonly retryAfterSec: number | undefined;
  /** `@Message.ExtendedInfo` of an answer that succeeded: warnings, mostly. */
  readonly messages: readonly RedfishMessage[];
};

/** Options of one request. */
export type RequestOptions = CallOptions & {
  readonly body?: JsonObject | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
};

/** A connection to one Redfish service. Made by `connectRedfish`; the other functions of this package take it. */
export type RedfishClient = {
  readonly settings: Settings;
  /**
   * One request, logged in. A read is repeated on a lost connection, 429 and 503; redirects are followed for reads and on the same
   * origin alone; a 401 in a session logs in once more.
   * @throws HttpError for a status of 400 or more, ConnectionError, TlsError, ProtocolError, RedfishTimeout, ClosedError, or the signal's reason.
   */
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  /** `request('GET', …)`. */
  get(path: string, options?: CallOptions): Promise<Answer>;
  /** `get` of one resource among many. At most `maxInFlight` have their turn at a time, and each has `partTimeoutMs` from its turn on. */
  getPart(path: string, options?: CallOptions): Promise<Answer>;
  /** Opens a stream (SSE). Only the head has a deadline. The caller reads and destroys the message. */
  stream(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage>;
  notify(notice: Notice): void;
  /** A call's own deadline and signal, joined with the client's end. */
  deadline(what: string, options: CallOptions): ReturnType<typeof deadline>;
  /** Ends the session (which is tried for at most 5 seconds) and all that is under way. May be called twice. */
  close(): Promise<void>;
};

const MAX_REDIRECTS = 3;
const READS = new Set(['GET', 'HEAD']);

/**
 * Makes a client; nothing is sent before the first request.
 * @throws BadOptionError
 */
export function connectRedfish(options: RedfishOptions): RedfishClient {
  const settings = settingsOf(options);
  const origin = parseOrigin(options.url, options.plainHttp === true);
  const secure = origin.protocol === 'https:';
  const tls = options.tls ?? {};
  // A kept connection may be closed by the service just as we send. A read is repeated then, a write must not be: it gets its own.
  const readAgent = makeAgent(secure, true, settings.maxInFlight, tls);
  const writeAgent = makeAgent(secure, false, settings.maxInFlight, tls);
  const gate = new Gate(settings.maxInFlight);
  const turns = new Gate(settings.maxInFlight);
  const over = new AbortController();
  let closing: Promise<void> | undefined;

  const notify = (notice: Notice) => {
    try {
      options.onNotice?.(notice);
    } catch {
      // A listener's failure is its own; the request goes on.
    }
  };
  const auth = makeAuthenticator(options.auth, {
    origin,
    agent: writeAgent,
    maxBytes: settings.maxBytes,
    maxDepth: settings.maxDepth,
    run: (signal, work) => gate.run(signal, work),
    notify,
    closed: over.signal,
    loginTimeoutMs: settings.timeoutMs,
  });
  const begin = (what: string, call: CallOptions) => {
    if (closing !== undefined) throw new ClosedError();
    return deadline(call.timeoutMs ?? settings.timeoutMs, what, call.signal, over.signal);
  };

  /** One request with a login, repeated once with a new session after a 401. */
  async function authorised(request: OutgoingRequest, signal: AbortSignal): Promise<RawAnswer> {
    const agent = READS.has(request.method) ? readAgent : writeAgent;
    for (let again = false; ; again = true) {
      const proof = await auth.headers(signal);
      const full = { ...request, headers: { ...request.headers, ...proof } };
      const answer = await gate.run(signal, () => exchange(origin, agent, full, settings.maxBytes, signal));
      if (answer.status !== 401 || again || !auth.renew(proof)) return answer;
    }
  }

  function toAnswer(method: string, path: string, raw: RawAnswer, sent: readonly string[]): Answer {
    const secrets = [...auth.secrets(), ...sent];
    const retryAfter = retryAfterSec(raw.headers['retry-after']);
    if (raw.status >= 400 || raw.status < 200)
      throw new HttpError(method, path, raw.status, messagesOf(tolerant(raw.body), secrets), retryAfter);
    const empty = raw.body.length === 0 || raw.status === 204;
    const body = empty ? {} : parseObject(raw.body, settings.maxDepth, `${method} ${path}`);
    const { etag, location } = raw.headers;
    return {
      status: raw.status,
      path,
      body,
      etag: etag ?? textOf(body, '@odata.etag'),
      location: location === undefined ? undefined : locationPath(origin, location, path),
      retryAfterSec: retryAfter,
      messages: messagesOf(body, secrets),
    };
  }

  /** The body of an error, which need not be JSON. */
  function tolerant(body: Buffer): JsonObject {
    try {
      return parseObject(body, settings.maxDepth, 'error');
    } catch {
      return {}; // The status is the error; a page of HTML adds nothing.
    }
  }

  async function follow(request: OutgoingRequest, sent: readonly string[], signal: AbortSignal): Promise<Answer> {
    let at = request;
    for (let hops = 0; ; hops++) {
      const raw = await authorised(at, signal);
      const { location } = raw.headers;
      if (![301, 302, 303, 307, 308].includes(raw.status) || !READS.has(at.method)) {
        if (raw.status >= 300 && raw.status < 400)
          throw new ProtocolError(`${at.method} ${at.path}: redirect not followed`, 'redirect');
        return toAnswer(at.method, at.path, raw, sent);
      }
      if (location === undefined || hops >= MAX_REDIRECTS)
        throw new ProtocolError(`GET ${at.path}: redirect without end`, 'redirect');
      at = { ...at, path: pathOn(origin, location, at.path) };
    }
  }

  async function request(method: string, path: string, call: RequestOptions = {}): Promise<Answer> {
    using time = begin(`${method} ${path}`, call);
    const { signal } = time;
    const outgoing: OutgoingRequest = {
      method,
      path: pathOn(origin, path),
      headers: {
        Accept: 'application/json',
        'Accept-Encoding': 'identity',
        'OData-Version': '4.0',
        ...(call.body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...call.headers,
      },
      body: call.body === undefined ? undefined : JSON.stringify(call.body),
    };
    const sent = secretsIn(call.body);
    for (let attempt = 0; ; attempt++) {
      try {
        return await follow(outgoing, sent, signal);
      } catch (error) {
        const worth = READS.has(method) && attempt < settings.retries && isPassing(error);
        if (!worth || !(error instanceof RedfishError)) throw closing !== undefined ? new ClosedError() : error;
        const asked = error instanceof HttpError ? error.retryAfterSec : undefined;
        const delayMs = asked === undefined ? backoffDelay(attempt, settings.backoff) : asked * 1000;
        notify({ kind: 'retry', path: outgoing.path, code: error.code, delayMs });
        await pause(delayMs, signal);
      }
    }
  }

  async function getPart(path: string, call: CallOptions = {}): Promise<Answer> {
    using time = begin(`GET ${path}`, call);
    const { signal } = time;
    // A part's time must not begin while it waits: those behind a slow one would be given up unasked.
    return await turns.run(signal, () => request('GET', path, { signal, timeoutMs: settings.partTimeoutMs }));
  }

  async function stream(path: string, headers: Readonly<Record<string, string>>, outer: AbortSignal) {
    if (closing !== undefined) throw new ClosedError();
    const signal = AbortSignal.any([outer, over.signal]);
    const target = pathOn(origin, path);
    for (let again = false; ; again = true) {
      const proof = await auth.headers(signal);
      const message = await openExchange(
        origin,
        writeAgent,
        { method: 'GET', path: target, headers: { ...headers, ...proof } },
        signal,
      );
      const status = message.statusCode ?? 0;
      if (status === 200) return message;
      message.destroy();
      if (status !== 401 || again || !auth.renew(proof)) throw new HttpError('GET', target, status, []);
    }
  }

  return {
    settings,
    request,
    get: (path, call = {}) => request('GET', path, call),
    getPart,
    stream,
    notify,
    deadline: begin,
    close() {
      closing ??= (async () => {
        try {
          await auth.close(AbortSignal.timeout(5_000));
        } catch {
          // The service ends the session by its own time-out; closing must not fail for it.
        }
        over.abort(new ClosedError());
        readAgent.destroy();
        writeAgent.destroy();
      })();
      return closing;
    },
  };
}

function isPassing(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof HttpError && [429, 503].includes(error.status));
}
