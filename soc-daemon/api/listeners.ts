import { chmod, lstat, readFile, rm } from 'node:fs/promises';
import type { RequestListener, Server, ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createConnection, type Socket } from 'node:net';
import { DpuError } from '../../core/errors.ts';
import { HttpError } from './http-error.ts';
import { rawProblem } from './problem.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { createServer } = process.getBuiltinModule('node:http');

const MAX_CONNECTIONS = 256;
const MAX_HEADER_BYTES = 16_384;
const MAX_HEADERS = 100;

/** Where a TLS listener is and what it shows. */
export interface TlsListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  readonly requestTimeoutMs: number;
}

/**
 * Listens on a unix socket with exactly these permissions from its first moment on. A socket that nobody answers is replaced.
 * @throws DpuError `conflict`: a live process listens there, or the path is not a socket.
 */
export async function listenUnix(
  path: string,
  mode: number,
  options: { readonly requestTimeoutMs: number; readonly onConnection: (socket: Socket) => void },
  handler: RequestListener,
): Promise<Server> {
  await removeStale(path);
  const server = limited(createServer(serverOptions(options.requestTimeoutMs), handler));
  server.on('connection', options.onConnection);
  const before = process.umask(0o177);
  try {
    const listening = started(server, 'the unix socket of the REST interface');
    server.listen(path);
    process.umask(before);
    await listening;
  } finally {
    process.umask(before);
  }
  await chmod(path, mode);
  return server;
}

/** Listens with TLS 1.2 or newer. @throws DpuError `invalid` for files that cannot be used, `unavailable` where the port cannot be had. */
export async function listenTls(options: TlsListenerOptions, handler: RequestListener): Promise<Server> {
  const [cert, key] = await Promise.all([
    readSetting(options.certFile, 'rest.tcp.cert_file'),
    readSetting(options.keyFile, 'rest.tcp.key_file'),
  ]);
  const server = limited(makeTls({ ...serverOptions(options.requestTimeoutMs), cert, key }, handler));
  const listening = started(server, 'the TCP port of the REST interface');
  server.listen(options.port, options.host);
  await listening;
  return server;
}

function makeTls(options: ServerOptions & { cert: string; key: string }, handler: RequestListener): Server {
  try {
    return createTlsServer({ ...options, minVersion: 'TLSv1.2' }, handler) as unknown as Server;
  } catch (cause) {
    throw new DpuError('invalid', 'the certificate or its key cannot be used', { field: 'rest.tcp.cert_file', cause });
  }
}

function serverOptions(requestTimeoutMs: number): ServerOptions {
  return {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(1000, requestTimeoutMs),
    keepAliveTimeout: 5000,
  };
}

function limited<Any extends Server>(server: Any): Any {
  server.maxConnections = MAX_CONNECTIONS;
  server.maxHeadersCount = MAX_HEADERS;
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') socket.destroy();
    else socket.end(rawProblem(ofClient(error.code)), () => socket.destroy());
  });
  return server;
}

function ofClient(code: string | undefined): HttpError {
  if (code === 'HPE_HEADER_OVERFLOW') return new HttpError(431, 'invalid', 'the headers are too large');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HttpError(408, 'timeout', 'the request did not arrive in time');
  return new HttpError(400, 'invalid', 'this is not HTTP');
}

async function started(server: Server, what: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: Error): void => reject(new DpuError('unavailable', `opening ${what}`, { cause }));
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
  });
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new DpuError('unavailable', 'looking at the path of the unix socket', { cause: error });
  });
  if (found === undefined) return;
  const field = 'rest.socket';
  if (!found.isSocket()) throw new DpuError('conflict', `${path} is there and is not a socket`, { field });
  if (await answers(path)) throw new DpuError('conflict', `another process listens on ${path}`, { field });
  await rm(path, { force: true });
}

async function answers(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}

async function readSetting(path: string, field: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new DpuError('invalid', `reading the file of ${field}`, { field, cause });
  }
}
