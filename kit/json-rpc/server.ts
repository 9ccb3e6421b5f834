import { chmodSync, chownSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { DpuError } from '../../core/errors.ts';
import type { Json } from '../../core/units.ts';
import { createFramer } from './framer.ts';
import { asRequest, cancelMethod, documentOf, idOf, type RpcErrorObject, type RpcId, rpcCodes } from './protocol.ts';
import { requireFreeSocket } from './socket-path.ts';

/** One request, as its handler has it. */
export interface RpcCall {
  readonly method: string;
  /** An object or an array; `{}` where the request has none. */
  readonly params: unknown;
  /** Aborted when the caller took the request back, or the server closes. */
  readonly signal: AbortSignal;
  readonly connection: RpcConnection;
}

/** Who is at the other end. */
export interface RpcConnection {
  /** Sends a notification; lost when the connection is. */
  notify(method: string, params: Json): void;
  /** Calls back once when the connection is over; at once when it is. */
  onClose(callback: () => void): void;
}

/** How a server serves. */
export interface RpcServerOptions {
  /** Answers the result. Requests of one connection run side by side, and are answered as they end. */
  handle(call: RpcCall): Promise<Json>;
  /** The error of an answer for whatever `handle` threw. */
  errorOf(error: unknown): RpcErrorObject;
  /** Of a request; default 1 MiB. */
  readonly maxBytes?: number;
  /** Default 64. More are closed as they come. */
  readonly maxConnections?: number;
  /** Requests of one connection at once; more are not read until one ended. Default 64. */
  readonly maxInFlight?: number;
}

/** Where a server listens, and who may open it. */
export interface RpcAddress {
  readonly path: string;
  readonly mode: number;
  /** Group id of the socket; null leaves the process's. */
  readonly gid: number | null;
}

/** A JSON-RPC 2.0 server on a unix socket: documents back to back, no batches. */
export interface RpcServer {
  /** @throws DpuError `conflict` when somebody listens there already; a socket that a dead process left is replaced. */
  listen(address: RpcAddress): Promise<void>;
  /** Takes no more requests, lets those that run end within `drainMs`, and then aborts them. */
  close(drainMs: number): Promise<void>;
}

/** How much of unread answers and notifications is kept for a peer that does not read, in bytes. */
const maxUnsentBytes = 8 * 1024 * 1024;

/** Makes a server; `listen` starts it. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const connections = new Set<Served>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const served = serve(socket, options);
    connections.add(served);
    socket.on('close', () => connections.delete(served));
  });
  server.maxConnections = options.maxConnections ?? 64;
  return {
    async listen({ path, mode, gid }) {
      await requireFreeSocket(path);
      const mask = process.umask(0o777); // nobody may open it before its mode is set
      try {
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject);
          server.listen(path, () => {
            server.off('error', reject);
            resolve();
          });
        });
      } catch (cause) {
        throw new DpuError('unavailable', `listening on ${path} failed`, { cause });
      } finally {
        process.umask(mask);
      }
      try {
        if (gid !== null) chownSync(path, -1, gid);
        chmodSync(path, mode);
      } catch (cause) {
        server.close();
        rmSync(path, { force: true });
        throw new DpuError('denied', `the socket ${path} can't be given its group and mode`, { cause });
      }
    },
    async close(drainMs) {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const each of connections) each.drain();
      const stop = setTimeout(() => {
        for (const each of connections) each.abort();
      }, drainMs);
      await closed;
      clearTimeout(stop);
    },
  };
}

interface Served {
  drain(): void;
  abort(): void;
}

function serve(socket: Socket, options: RpcServerOptions): Served {
  const { handle, errorOf, maxBytes = 1_048_576, maxInFlight = 64 } = options;
  const framer = createFramer({ maxBytes });
  const running = new Map<RpcId, AbortController>();
  const closers = new Set<() => void>();
  const waiting: string[] = [];
  let active = 0;
  let over = false;
  let inputEnded = false;

  const send = (text: string): void => {
    if (over || !socket.writable) return;
    socket.write(text);
    if (socket.writableLength > maxUnsentBytes) socket.destroy();
  };
  const refuse = (id: RpcId | null, code: number, message: string): void =>
    send(documentOf({ id, error: { code, message } }));
  const endWhenIdle = (): void => {
    if (inputEnded && active === 0 && waiting.length === 0) socket.end(() => socket.destroy());
  };
  const connection: RpcConnection = {
    notify: (method, params) => send(documentOf({ method, params })),
    onClose: (callback) => {
      if (over) callback();
      else closers.add(callback);
    },
  };

  async function run(id: RpcId | undefined, method: string, params: unknown): Promise<void> {
    const stop = new AbortController();
    if (id !== undefined) running.set(id, stop);
    active += 1;
    try {
      const result = await handle({ method, params, signal: stop.signal, connection });
      if (id !== undefined) send(documentOf({ id, result }));
    } catch (error) {
      const { code, message, data } = errorOf(error);
      if (id !== undefined) send(documentOf({ id, error: { code, message, ...(data ? { data } : {}) } }));
    } finally {
      active -= 1;
      if (id !== undefined && running.get(id) === stop) running.delete(id);
      next();
      endWhenIdle();
    }
  }

  function accept(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      refuse(null, rpcCodes.parseError, 'not valid JSON');
      end();
      return;
    }
    const request = asRequest(value);
    if (request === null) {
      refuse(idOf(value), rpcCodes.invalidRequest, 'not a JSON-RPC 2.0 request');
    } else if (request.method === cancelMethod) {
      const id = idOf(request.params);
      if (id !== null) running.get(id)?.abort(new DpuError('timeout', 'the caller took the request back'));
    } else if (request.id !== undefined && running.has(request.id)) {
      refuse(request.id, rpcCodes.invalidRequest, 'a request with this id is under way');
    } else {
      void run(request.id, request.method, request.params);
    }
  }

  /** Requests wait for room; one that is taken back does not. */
  function next(): void {
    while (waiting.length > 0 && !over && (active < maxInFlight || waiting[0]?.includes(cancelMethod))) {
      const text = waiting.shift();
      if (text !== undefined) accept(text);
    }
    if (waiting.length === 0 && !inputEnded) socket.resume();
  }

  function end(): void {
    inputEnded = true;
    waiting.length = 0;
    socket.pause();
    endWhenIdle();
  }

  socket.on('data', (chunk) => {
    if (inputEnded) return;
    try {
      waiting.push(...framer.push(chunk));
    } catch (error) {
      next();
      refuse(null, rpcCodes.parseError, error instanceof DpuError ? error.message : 'not readable');
      end();
      return;
    }
    next();
    if (waiting.length > 0) socket.pause();
  });
  socket.on('end', () => {
    inputEnded = true;
    endWhenIdle();
  });
  socket.on('error', () => socket.destroy()); // the peer is gone; 'close' says so
  socket.on('close', () => {
    over = true;
    waiting.length = 0;
    for (const callback of closers) callback();
    closers.clear();
  });
  return {
    drain: end,
    abort: () => {
      for (const stop of running.values()) stop.abort(new DpuError('unavailable', 'the server stops'));
      socket.end(() => socket.destroy());
    },
  };
}
