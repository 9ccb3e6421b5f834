import { readFileSync } from 'node:fs';
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { DpuError } from '../../../core/errors.ts';
import type { HttpRequest, TlsSettings } from './http.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { Agent: HttpAgent, request: requestHttp } = process.getBuiltinModule('node:http');

/** A try that came to no answer. `sent`: whether the service may have seen the request. */
export interface BrokenTry {
  readonly sent: boolean;
  /** Node's code; its texts may quote what was sent. */
  readonly code: string;
}

/** Connections to the services: kept ones for what may be sent again when a kept one turns out dead, new ones for the rest. */
export interface Connections {
  /** One try, up to the head of the answer. Rejects with a BrokenTry, DpuError `denied` (certificate), or the signal's reason. */
  start(request: HttpRequest, reuse: boolean, signal: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

const mostSockets = 16;

/** @throws DpuError `invalid` when the CA file can't be read. */
export function createConnections(tls: TlsSettings): Connections {
  const trust = { minVersion: 'TLSv1.2', ...(tls.caFile === null ? {} : { ca: readCa(tls.caFile) }) } as const;
  const kept = { keepAlive: true, maxSockets: mostSockets, maxFreeSockets: 4 };
  const agents = {
    'http:': { kept: new HttpAgent(kept), fresh: new HttpAgent({ maxSockets: mostSockets }) },
    'https:': {
      kept: new HttpsAgent({ ...kept, ...trust }),
      fresh: new HttpsAgent({ maxSockets: mostSockets, ...trust }),
    },
  };
  return {
    async start(request, reuse, signal) {
      signal.throwIfAborted();
      const pair = request.url.protocol === 'https:' ? agents['https:'] : agents['http:'];
      const outgoing = open(request, reuse ? pair.kept : pair.fresh, signal);
      let sent = false;
      outgoing.once('socket', (socket) => {
        if (!socket.connecting) sent = true;
        else
          socket.once(request.url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
            sent = true;
          });
      });
      try {
        return await answerTo(outgoing, request);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw brokenTry(error, sent, request);
      }
    },
    close() {
      for (const { kept: one, fresh } of Object.values(agents)) {
        one.destroy();
        fresh.destroy();
      }
    },
  };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new DpuError('invalid', `${file}, the services' CA, can't be read`, { cause });
  }
}

function open(request: HttpRequest, agent: Agent, signal: AbortSignal): ClientRequest {
  const body = request.json === undefined ? undefined : JSON.stringify(request.json);
  const { stream } = request;
  const length = stream === undefined ? (body === undefined ? undefined : Buffer.byteLength(body)) : stream.bytes;
  const type = stream?.type ?? (body === undefined ? undefined : 'application/json');
  const options: RequestOptions = {
    method: request.method,
    agent,
    signal,
    headers: {
      Accept: 'application/json',
      'User-Agent': 'dpu-compute',
      ...(type === undefined ? {} : { 'Content-Type': type }),
      ...(length === undefined ? {} : { 'Content-Length': String(length) }),
      ...request.headers,
    },
  };
  const outgoing = (request.url.protocol === 'https:' ? requestHttps : requestHttp)(request.url, options);
  if (stream === undefined) outgoing.end(body);
  return outgoing;
}

async function answerTo(outgoing: ClientRequest, { stream }: HttpRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  outgoing.once('response', resolve);
  // Stays for good: an answer that breaks off later reports here too, and an unheard 'error' ends the process.
  outgoing.on('error', reject);
  if (stream !== undefined) {
    // A service may answer before it has read all: what became of the sending then is no news.
    pipeline(stream.body, outgoing).catch(reject);
  }
  return await promise;
}

function brokenTry(error: unknown, sent: boolean, request: HttpRequest): BrokenTry | DpuError {
  // what gave the body to be sent knows better why it ended
  if (error instanceof DpuError) return error;
  const code = codeOf(error);
  if (/^(ERR_TLS_CERT|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_)/.test(code)) {
    return new DpuError('denied', `${request.service}: its certificate is not trusted`, {
      details: { service: request.service, type: code },
    });
  }
  return { sent, code };
}

/** Node's code of an error; its text may quote what was sent. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN';
}
