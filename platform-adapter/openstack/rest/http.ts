import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Random } from '../../../core/ports/random.ts';
import type { Json } from '../../../core/units.ts';
import { type BrokenTry, type Connections, codeOf, createConnections } from './exchange.ts';
import { refusalError } from './rest-errors.ts';
import { type Failure, failureOf, mayRepeat, pauseMs, tries } from './retry-rules.ts';

/** What every call to a service takes. */
export interface CallOptions {
  /** Ends the call; its reason is what the call rejects with. */
  readonly signal?: AbortSignal | undefined;
  /** Deadline of the whole call, its repeats included; milliseconds. Default 60 000. Then the error is `timeout`. */
  readonly timeoutMs?: number | undefined;
  /** `req-<uuid>` of the request that the work is for: services write it into their logs. */
  readonly requestId?: string | undefined;
}

/** A method that the services know. */
export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** How the services' certificates are verified. */
export interface TlsSettings {
  /** PEM file of the CAs that may have signed them; null: the system's. */
  readonly caFile: string | null;
}

/** One request as it goes out. */
export interface HttpRequest {
  /** What we are doing, for errors: `show volume 7000…`. */
  readonly doing: string;
  /** Who is asked, for errors: `cinder`. */
  readonly service: string;
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: Json;
  /** Sent as it is; such a request is never repeated. */
  readonly stream?: { readonly body: Readable; readonly type: string; readonly bytes?: number };
  /** Whether doing it twice is as good as once although the method does not say so (an ensure by POST). */
  readonly repeatable?: boolean;
  /** What besides tokens in the headers may never be in an error: a password in the body. */
  readonly secrets?: readonly string[];
  /** Bytes that an answer may have at most. Default 16 MiB. */
  readonly maxBytes?: number;
}

/** An answer of 2xx. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body's JSON; null where there is no body. */
  readonly json: Json;
}

/** The head of an answer whose body is read by the caller, who also ends it. */
export interface HttpStream {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/**
 * Sends requests to REST services. What `retryRules` says is safe is tried again with back-off until the deadline.
 *
 * Both throw DpuError by rest-errors.ts: `invalid`, `denied`, `not_found`, `conflict`, `exhausted` (quota), `unsupported`, `unavailable` (no connection,
 * 5xx, an answer that is no JSON or too large), `timeout`; its `details` are `{service, status, type}`. No error holds a token or a password.
 */
export interface HttpClient {
  send(request: HttpRequest, options?: CallOptions): Promise<HttpAnswer>;
  /** As `send`; the body comes as a stream. The deadline is until its head; the caller has the rest under its own signal. */
  open(request: HttpRequest, options?: CallOptions): Promise<HttpStream>;
  /** Closes kept connections. */
  close(): void;
}

/** What a client needs of its surroundings. */
export interface HttpClientOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tls: TlsSettings;
  /** Deadline of calls that say none; milliseconds. Default 60 000. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 60_000;
const defaultMaxBytes = 16 * 1024 * 1024;

/** An answer's end that a repeat may mend. */
interface Failed {
  readonly failure: Failure | undefined;
  readonly error: DpuError;
  readonly retryAfter?: string | undefined;
}

/** A client with its own connections. @throws DpuError `invalid` when the CA file can't be read. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { clock, random, log } = options;
  const connections = createConnections(options.tls);

  /** Tries until `finish` made something of an answer, or nothing may be tried any more. */
  async function attempt<Result>(
    request: HttpRequest,
    call: CallOptions,
    finish: (message: IncomingMessage, signal: AbortSignal) => Promise<Result | Failed>,
  ): Promise<Result> {
    const timeoutMs = call.timeoutMs ?? options.timeoutMs ?? defaultTimeoutMs;
    const ended = new AbortController();
    const timer = clock.timer(timeoutMs, () => ended.abort(timeoutError(request, timeoutMs)));
    const signal = call.signal === undefined ? ended.signal : AbortSignal.any([ended.signal, call.signal]);
    const outgoing: HttpRequest = {
      ...request,
      headers: {
        ...request.headers,
        ...(call.requestId === undefined ? {} : { 'X-OpenStack-Request-ID': call.requestId }),
      },
    };
    try {
      for (let next = 1; ; next += 1) {
        const end = await oneTry(connections, outgoing, signal, finish);
        if (!isFailed(end)) return end;
        const { failure, error, retryAfter } = end;
        const again =
          next < tries.most &&
          failure !== undefined &&
          request.stream === undefined &&
          mayRepeat(failure, request.method, request.repeatable ?? false);
        const pause = again ? pauseMs(next, retryAfter, () => random.unit()) : null;
        if (pause === null) throw error;
        log.debug('service is asked again', { peer: request.service, doing: request.doing, failure, tries: next });
        await clock.sleep(pause, signal);
      }
    } finally {
      timer.cancel();
    }
  }

  return {
    send: (request, call = {}) =>
      attempt(request, call, async (message, signal) => {
        const body = await readBody(message, request, signal);
        if (isFailed(body)) return body;
        return asAnswer(message, body, request);
      }),
    open: (request, call = {}) =>
      attempt(request, call, async (message, signal) => {
        const status = message.statusCode ?? 0;
        if (status >= 200 && status < 300) return { status, headers: headersOf(message), body: message };
        const body = await readBody(message, request, signal);
        return isFailed(body) ? body : asAnswer(message, body, request);
      }).then((answer) => {
        if ('body' in answer) return answer;
        throw new DpuError('internal', `${request.service}: ${request.doing} has no body`);
      }),
    close: () => connections.close(),
  };
}

function isFailed(value: unknown): value is Failed {
  return typeof value === 'object' && value !== null && 'failure' in value && 'error' in value;
}

async function oneTry<Result>(
  connections: Connections,
  request: HttpRequest,
  signal: AbortSignal,
  finish: (message: IncomingMessage, signal: AbortSignal) => Promise<Result | Failed>,
): Promise<Result | Failed> {
  // what may not be done twice gets a connection of its own: a kept one may be dead, and that shows only after sending
  const reuse = request.stream === undefined && mayRepeat('lost', request.method, request.repeatable ?? false);
  let message: IncomingMessage;
  try {
    message = await connections.start(request, reuse, signal);
  } catch (error) {
    if (signal.aborted || error instanceof DpuError) throw error;
    const { sent, code } = error as BrokenTry;
    return {
      failure: sent ? 'lost' : 'not-connected',
      error: unavailable(request, sent ? 'the connection broke' : 'no connection', code),
    };
  }
  return await finish(message, signal);
}

async function readBody(message: IncomingMessage, request: HttpRequest, signal: AbortSignal): Promise<Buffer | Failed> {
  const limit = request.maxBytes ?? defaultMaxBytes;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of message) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      if (size > limit) {
        message.destroy();
        return {
          failure: undefined,
          error: unavailable(request, `the answer has more than ${limit} bytes`, 'too-large'),
        };
      }
      chunks.push(bytes);
    }
  } catch (error) {
    message.destroy();
    if (signal.aborted) throw signal.reason;
    return { failure: 'lost', error: unavailable(request, 'the answer broke off', codeOf(error)) };
  }
  return Buffer.concat(chunks, size);
}

function asAnswer(message: IncomingMessage, body: Buffer, request: HttpRequest): HttpAnswer | Failed {
  const status = message.statusCode ?? 0;
  const headers = headersOf(message);
  const json = parse(body);
  if (status >= 200 && status < 300) {
    if (json !== undefined) return { status, headers, json };
    return { failure: 'garbled', error: unavailable(request, 'the answer is no JSON', 'garbled') };
  }
  const { service, doing } = request;
  return {
    failure: failureOf(status),
    error: refusalError({ service, doing, status, body: json, secrets: secretsOf(request) }),
    retryAfter: headers['retry-after'],
  };
}

/** JSON; null of no body at all; undefined of anything else. */
function parse(body: Buffer): Json | undefined {
  if (body.length === 0) return null;
  try {
    return JSON.parse(body.toString('utf8')) as Json;
  } catch {
    // the parser's text quotes the body, which may hold anything
    return undefined;
  }
}

function headersOf(message: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(message.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  );
}

/** Headers that hold secrets, in lower case. */
const secretHeaders: ReadonlySet<string> = new Set(['x-auth-token', 'x-service-token', 'x-subject-token']);

function secretsOf(request: HttpRequest): readonly string[] {
  const tokens = Object.entries(request.headers ?? {}).filter(([name]) => secretHeaders.has(name.toLowerCase()));
  return [...tokens.map(([, value]) => value), ...(request.secrets ?? [])];
}

function unavailable({ service, doing }: HttpRequest, what: string, type: string): DpuError {
  return new DpuError('unavailable', `${service}: can't ${doing}: ${what}`, { details: { service, type } });
}

function timeoutError({ service, doing }: HttpRequest, ms: number): DpuError {
  return new DpuError('timeout', `${service}: can't ${doing} in ${ms} ms`, { details: { service } });
}
