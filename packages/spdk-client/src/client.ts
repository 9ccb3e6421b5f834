import { type Backoff, backoffDelay } from './backoff.ts';
import { type Address, type Connection, openConnection } from './connection.ts';
import { Emitter } from './emitter.ts';
import {
  ClosedError,
  ConnectionLostError,
  LimitError,
  RequestTimeoutError,
  rpcErrorOf,
  UnexpectedResultError,
} from './errors.ts';
import type { Method } from './method.ts';
import { readResponse } from './response.ts';
import { scrub } from './scrub.ts';

/** Options of {@link createSpdkClient}. */
export interface SpdkClientOptions {
  readonly address: Address;
  /** Deadline of a call that gives none, in milliseconds; default 30,000. */
  readonly timeoutMs?: number;
  /** How long one attempt to connect may take; default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Requests that SPDK may have before it at a time; more wait here. Default 64. */
  readonly maxInFlight?: number;
  /** Requests that may wait here for a connection or a place in flight; more are refused. Default 1,024. */
  readonly maxQueued?: number;
  /** Longest request in bytes; default 1 MiB. */
  readonly maxRequestBytes?: number;
  /** Longest answer in bytes; default 16 MiB. */
  readonly maxResponseBytes?: number;
  readonly backoff?: Backoff;
  /** Chance for the jitter, [0, 1); default Math.random. */
  readonly random?: () => number;
}

/** What may be said of one call. */
export interface CallOptions {
  /** Deadline in milliseconds, waiting for a connection included. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Events of a client. */
export interface SpdkClientEvents {
  /** A connection is up. From the second on SPDK may have been restarted, and has then forgotten everything. */
  readonly connected: { readonly again: boolean };
  /** The connection went away; a new one is made after `retryInMs`. */
  readonly disconnected: { readonly error: Error; readonly retryInMs: number };
  /** An attempt to connect failed; the next begins after `retryInMs`. */
  readonly connectFailed: { readonly error: Error; readonly retryInMs: number };
  /** An answer that nobody waits for was dropped: `late` for its deadline, or with an id that is not under way. */
  readonly dropped: { readonly id: number | string | null; readonly late: boolean };
}

/** The arguments of a call: parameters, unless the method has none or only optional ones. */
export type CallArgs<Params> = [Params] extends [undefined]
  ? [params?: undefined, options?: CallOptions]
  : Record<never, never> extends Params
    ? [params?: Params, options?: CallOptions]
    : [params: Params, options?: CallOptions];

/** A JSON-RPC 2.0 client of one SPDK application. */
export interface SpdkClient {
  readonly state: 'connecting' | 'connected' | 'closed';
  /**
   * Calls a typed method. Rejects with an `RpcError`, `RequestTimeoutError`, `ConnectionLostError`, `UnexpectedResultError`,
   * `LimitError`, `ClosedError`, or the signal's reason. While there is no connection it waits for one until its deadline.
   */
  call<Params, Result>(method: Method<Params, Result>, ...args: CallArgs<Params>): Promise<Result>;
  /** The same for a method by name; the result is as it came. Parameters without a member are not sent. */
  request(method: string, params?: object, options?: CallOptions): Promise<unknown>;
  /** Adds a listener; the function returned takes it away. */
  on<K extends keyof SpdkClientEvents>(name: K, listener: (event: SpdkClientEvents[K]) => void): () => void;
  /** Ends the connection and every call under way. May be called twice. */
  close(): void;
}

const MAX_ABANDONED = 4096;

interface Pending {
  readonly id: number;
  readonly method: string;
  readonly params: object | undefined;
  readonly bytes: Buffer;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Makes a client that connects in the background, and again with back-off and full jitter, until it is closed. */
export function createSpdkClient(options: SpdkClientOptions): SpdkClient {
  const { timeoutMs = 30_000, maxInFlight = 64, maxQueued = 1024, maxRequestBytes = 1024 * 1024 } = options;
  const events = new Emitter<SpdkClientEvents>();
  const closing = new AbortController();
  const waiting = new Map<number, Pending>();
  const inFlight = new Map<number, Pending>();
  let connection: Connection | undefined;
  let wasConnected = false;
  let lastId = 0;
  /** Requests that SPDK still has, but whose callers have given up. */
  const abandoned = new Set<number>();
  let failures = 0;
  let nextDelay = 0;

  function flush(): void {
    for (const [id, pending] of waiting) {
      if (connection === undefined || inFlight.size >= maxInFlight) return;
      waiting.delete(id);
      inFlight.set(id, pending);
      connection.send(pending.bytes);
    }
  }

  function take(id: number): Pending | undefined {
    const pending = inFlight.get(id);
    inFlight.delete(id);
    return pending;
  }

  function onDocument(value: unknown): void {
    const response = readResponse(value);
    failures = 0;
    const only = inFlight.size === 1 && abandoned.size === 0 ? [...inFlight.keys()][0] : undefined;
    // SPDK answers with id null when it can't take a request for one; with one under way there is no doubt whose it is
    const id = response.id === null && response.error !== undefined ? only : response.id;
    const pending = typeof id === 'number' ? take(id) : undefined;
    if (pending === undefined) {
      const late = typeof id === 'number' && abandoned.delete(id);
      events.emit('dropped', { id: response.id, late });
    } else if (response.error === undefined) pending.resolve(response.result);
    else {
      const { code, message } = response.error;
      const peerMessage = scrub(message, pending.params);
      pending.reject(rpcErrorOf({ method: pending.method, rpcCode: code, peerMessage }));
    }
    flush();
  }

  function onClosed(cause: Error): void {
    if (connection === undefined) return;
    connection = undefined;
    const lost = [...inFlight.values()];
    inFlight.clear();
    abandoned.clear();
    const retryInMs = countFailure();
    for (const pending of lost) pending.reject(new ConnectionLostError(undefined, { cause }));
    events.emit('disconnected', { error: cause, retryInMs });
    run();
  }

  async function keepConnecting(): Promise<void> {
    while (!closing.signal.aborted) {
      await pause(failures === 0 ? 0 : nextDelay, closing.signal);
      try {
        const patience = AbortSignal.timeout(options.connectTimeoutMs ?? 5000);
        const opened = await openConnection(
          options.address,
          { maxBytes: options.maxResponseBytes ?? 16 * 1024 * 1024 },
          { document: onDocument, closed: onClosed },
          AbortSignal.any([closing.signal, patience]),
        );
        if (closing.signal.aborted) return opened.destroy();
        connection = opened;
        events.emit('connected', { again: wasConnected });
        wasConnected = true;
        return flush();
      } catch (error) {
        if (closing.signal.aborted) return;
        const retryInMs = countFailure();
        events.emit('connectFailed', { error: error instanceof Error ? error : new ConnectionLostError(), retryInMs });
      }
    }
  }

  /** A connection that breaks before it gave an answer counts like one that never came up: no tight loop of either. */
  function countFailure(): number {
    nextDelay = backoffDelay(failures, options.backoff ?? {}, options.random ?? Math.random);
    failures += 1;
    return nextDelay;
  }

  function run(): void {
    // it catches what can fail; anything else is a defect and must be heard
    keepConnecting().catch((error: unknown) => {
      queueMicrotask(() => {
        throw error;
      });
    });
  }

  function abandon(id: number): void {
    if (connection === undefined) return;
    abandoned.add(id);
    const oldest = abandoned.values().next().value;
    if (abandoned.size > MAX_ABANDONED && oldest !== undefined) abandoned.delete(oldest);
  }

  async function request(method: string, params?: object, call: CallOptions = {}): Promise<unknown> {
    if (closing.signal.aborted) throw new ClosedError();
    call.signal?.throwIfAborted();
    if (waiting.size >= maxQueued) throw new LimitError(`${maxQueued} requests are waiting already`);
    lastId += 1;
    const id = lastId;
    // a method without parameters refuses even an empty object (SPDK v24.01, -32602)
    const given = params !== undefined && Object.keys(params).length > 0 ? params : undefined;
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, id, params: given }));
    if (bytes.length > maxRequestBytes)
      throw new LimitError(`${method}: the request is longer than ${maxRequestBytes} bytes`);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const limit = Math.min(call.timeoutMs ?? timeoutMs, 2 ** 31 - 1);
    const timer = setTimeout(() => reject(new RequestTimeoutError(method, limit, inFlight.has(id))), limit);
    const abort = () => reject(call.signal?.reason);
    call.signal?.addEventListener('abort', abort, { once: true });
    waiting.set(id, { id, method, params, bytes, resolve, reject });
    flush();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', abort);
      waiting.delete(id);
      if (inFlight.delete(id)) abandon(id);
      flush();
    }
  }

  run();
  return {
    get state() {
      if (closing.signal.aborted) return 'closed';
      return connection === undefined ? 'connecting' : 'connected';
    },
    async call<Params, Result>(method: Method<Params, Result>, ...args: CallArgs<Params>): Promise<Result> {
      const [params, call] = args;
      const result = await request(method.name, params as object | undefined, call);
      if (!method.check(result)) throw new UnexpectedResultError(method.name);
      return result;
    },
    request,
    on: (name, listener) => events.on(name, listener),
    close() {
      if (closing.signal.aborted) return;
      closing.abort(new ClosedError());
      connection?.destroy();
      connection = undefined;
      for (const pending of [...waiting.values(), ...inFlight.values()]) pending.reject(new ClosedError());
    },
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', stop);
}
