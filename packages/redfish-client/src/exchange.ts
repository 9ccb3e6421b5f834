import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { HandshakeOptions } from './agent.ts';
import { ConnectionError, ProtocolError, RedfishError } from './errors.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { request: httpRequest } = process.getBuiltinModule('node:http');

/** One request as it goes out. */
export type OutgoingRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
};

/** One answer as it came in. */
export type RawAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

/**
 * Sends a request and resolves with the head of the answer; the caller reads or destroys the stream.
 *
 * A kept connection that the service closed while it was idle breaks under the next request. One that only reads is then sent again on another
 * connection (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1), at the latest on a new one; one that changes something is not,
 * since it may have been carried out (the client gives those a new connection each).
 * @throws ConnectionError, TlsError, ProtocolError, or the signal's reason.
 */
export async function openExchange(
  origin: URL,
  agent: Agent,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  for (;;) {
    signal.throwIfAborted();
    const outgoing = start(origin, agent, request, signal);
    try {
      return await answerTo(outgoing);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!outgoing.reusedSocket || request.method !== 'GET' || !isReset(error)) throw asOurs(error, request);
    }
  }
}

function start(origin: URL, agent: Agent, request: OutgoingRequest, signal: AbortSignal): ClientRequest {
  const send = origin.protocol === 'https:' ? httpsRequest : httpRequest;
  const options: RequestOptions & HandshakeOptions = {
    method: request.method,
    agent,
    signal,
    handshakeSignal: signal,
    headers: {
      ...request.headers,
      ...(request.body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(request.body)) }),
    },
  };
  const outgoing = send(new URL(request.path, origin), options);
  outgoing.end(request.body);
  return outgoing;
}

async function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  outgoing.once('response', resolve);
  // Stays for good: an answer that breaks off later reports here too, and an unheard 'error' ends the process.
  outgoing.on('error', reject);
  return await promise;
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/**
 * Sends a request and reads the whole answer.
 * @throws as openExchange, and ProtocolError `too-large` over `maxBytes`.
 */
export async function exchange(
  origin: URL,
  agent: Agent,
  request: OutgoingRequest,
  maxBytes: number,
  signal: AbortSignal,
): Promise<RawAnswer> {
  const message = await openExchange(origin, agent, request, signal);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of message) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      if (size > maxBytes) throw new ProtocolError(`${name(request)}: more than ${maxBytes} bytes`, 'too-large');
      chunks.push(bytes);
    }
  } catch (error) {
    message.destroy();
    throw signal.aborted ? signal.reason : asOurs(error, request);
  }
  return { status: message.statusCode ?? 0, headers: message.headers, body: Buffer.concat(chunks, size) };
}

function name(request: OutgoingRequest): string {
  return `${request.method} ${request.path}`;
}

/** Node's error as ours. Only its code is kept: texts of the HTTP parser may quote what came in. */
function asOurs(error: unknown, request: OutgoingRequest): RedfishError {
  if (error instanceof RedfishError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
  if (code === 'HPE_HEADER_OVERFLOW') return new ProtocolError(`${name(request)}: headers over the limit`, 'too-large');
  if (code.startsWith('HPE_')) return new ProtocolError(`${name(request)}: no HTTP answer (${code})`);
  return new ConnectionError(code, name(request));
}
