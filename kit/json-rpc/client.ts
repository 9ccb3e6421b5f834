import { connect, type Socket } from 'node:net';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Json } from '../../core/units.ts';
import { createFramer } from './framer.ts';
import { cancelMethod, documentOf, JsonRpcError } from './protocol.ts';

/** Where the server is and what to expect of it. */
export interface RpcClientOptions {
  /** Path of the unix socket. */
  readonly path: string;
  /** What the server is called in errors. */
  readonly peer: string;
  readonly clock: Clock;
  /** How long a call may take unless it says otherwise, in milliseconds. */
  readonly timeoutMs: number;
  /** Of an answer; default 16 MiB. */
  readonly maxBytes?: number;
  onNotification?(method: string, params: unknown): void;
  /** The connection was lost; the next call makes a new one. */
  onDisconnect?(): void;
}

/** A call's limits. */
export interface RpcCallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

/** A JSON-RPC 2.0 client on a unix socket. It connects when it is asked something and has no connection. */
export interface RpcClient {
  /**
   * Rejects with JsonRpcError (the server's answer), the signal's reason, or DpuError `unavailable` (no server, or it was lost before it
   * answered: what was asked may have been done) or `timeout`. A call that ends before its answer is taken back at the server.
   */
  call(method: string, params: Json, options?: RpcCallOptions): Promise<unknown>;
  /** Fails what is under way with `unavailable`. */
  close(): void;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** Makes a client; nothing is opened yet. */
export function createRpcClient(options: RpcClientOptions): RpcClient {
  const { path, peer, clock, maxBytes = 16 * 1024 * 1024 } = options;
  const pending = new Map<number, Pending>();
  let socket: Socket | undefined;
  let opening: Promise<Socket> | undefined;
  let closed = false;
  let lastId = 0;

  function lose(lost: Socket, cause?: unknown): void {
    lost.destroy();
    if (socket !== lost) return;
    socket = undefined;
    const error = new DpuError('unavailable', `the connection to ${peer} was lost`, { cause });
    for (const each of [...pending.values()]) each.reject(error);
    options.onDisconnect?.();
  }

  function answer(text: string): void {
    const message = JSON.parse(text) as Record<string, unknown>;
    if (typeof message.method === 'string') {
      options.onNotification?.(message.method, message.params);
      return;
    }
    const waiting = pending.get(Number(message.id));
    const error = message.error as { code?: unknown; message?: unknown; data?: unknown } | undefined;
    if (error === undefined) waiting?.resolve(message.result);
    else waiting?.reject(new JsonRpcError(Number(error.code), String(error.message), error.data));
  }

  function open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const framer = createFramer({ maxBytes });
      const made = connect(path);
      let ready = false;
      made.on('connect', () => {
        ready = true;
        socket = made;
        resolve(made);
      });
      made.on('data', (chunk) => {
        try {
          for (const text of framer.push(chunk)) answer(text);
        } catch (error) {
          lose(made, error);
        }
      });
      made.on('error', (cause) => {
        if (ready) lose(made, cause);
        else reject(new DpuError('unavailable', `${peer} is not reachable at ${path}`, { cause }));
      });
      made.on('close', () => lose(made));
    });
  }

  async function connected(): Promise<Socket> {
    if (closed) throw new DpuError('unavailable', `the client of ${peer} is closed`);
    if (socket) return socket;
    opening ??= open().finally(() => {
      opening = undefined;
    });
    const made = await opening;
    if (closed) {
      made.destroy();
      throw new DpuError('unavailable', `the client of ${peer} is closed`);
    }
    return made;
  }

  return {
    async call(method, params, { signal, timeoutMs = options.timeoutMs } = {}) {
      signal?.throwIfAborted();
      const to = await connected();
      signal?.throwIfAborted();
      lastId += 1;
      const id = lastId;
      const takeBack = (): void => {
        if (to.writable) to.write(documentOf({ method: cancelMethod, params: { id } }));
      };
      return await new Promise<unknown>((resolve, reject) => {
        const end = (): void => {
          pending.delete(id);
          deadline.cancel();
          signal?.removeEventListener('abort', onAbort);
        };
        const onAbort = (): void => {
          end();
          takeBack();
          reject(signal?.reason);
        };
        const deadline = clock.timer(timeoutMs, () => {
          end();
          takeBack();
          reject(new DpuError('timeout', `${peer} did not answer ${method} in time`));
        });
        signal?.addEventListener('abort', onAbort, { once: true });
        pending.set(id, {
          resolve: (result) => {
            end();
            resolve(result);
          },
          reject: (error) => {
            end();
            reject(error);
          },
        });
        to.write(documentOf({ id, method, params }));
        if (socket !== to) pending.get(id)?.reject(new DpuError('unavailable', `the connection to ${peer} was lost`));
      });
    },
    close() {
      closed = true;
      if (socket) lose(socket);
    },
  };
}
