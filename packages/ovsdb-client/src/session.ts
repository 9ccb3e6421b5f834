import { type Address, parseAddress } from './address.ts';
import { type Backoff, backoffDelay } from './backoff.ts';
import { type Answer, Connection, type ConnectionOptions } from './connection.ts';
import { dial, type TlsOptions } from './dial.ts';
import { Emitter } from './emitter.ts';
import {
  BadAddressError,
  ClosedError,
  ConnectionLostError,
  DeadlineError,
  OverloadError,
  OvsdbError,
  ProtocolError,
} from './errors.ts';
import { pause } from './pause.ts';

/** Deadline and abort of one call. */
export type CallOptions = {
  /** Milliseconds until the call fails with `deadline`; default: the client's. Covers the wait for a connection too. */
  readonly timeoutMs?: number;
  /** Aborts the call with the signal's reason; a transact that was sent is cancelled (RFC 7047 4.1.4). */
  readonly signal?: AbortSignal;
};

/** How a client connects, and its bounds. */
export type ClientOptions = {
  /** `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT`; several, the members of a cluster, are tried in turn. */
  readonly address: string | readonly string[];
  readonly tls?: TlsOptions;
  readonly backoff?: Backoff;
  /** Default deadline of a call; default 30000. */
  readonly timeoutMs?: number;
  /** Longest that one attempt to connect takes; default 5000. */
  readonly connectTimeoutMs?: number;
  /** Silence before an echo is sent, and as long again before the connection is given up; default 5000, 0 never. */
  readonly inactivityMs?: number;
  /** Requests sent and not answered; more wait. Default 256. */
  readonly maxInFlight?: number;
  /** Requests that wait for a turn or a connection; one more fails with `overload`. Default 10000. */
  readonly maxQueued?: number;
  /** Longest message that is sent; default 64 MiB. */
  readonly maxSendBytes?: number;
  /** Longest message that is taken; default 256 MiB. */
  readonly maxReceiveBytes?: number;
  /** Tell the server that we follow its databases' coming and going (ovsdb-server(7) 4.1.18); default true. */
  readonly dbChangeAware?: boolean;
  /** Chance, for the jitter; default Math.random. */
  readonly random?: () => number;
};

/** What happens to a client's connection. */
export type SessionEvents = {
  connected: { readonly address: string };
  /** The connection ended, not by us; another attempt follows. */
  disconnected: { readonly error: OvsdbError };
  /** An attempt to connect is about to be made after a wait. */
  reconnecting: { readonly attempt: number; readonly delayMs: number; readonly error: OvsdbError };
  /** A listener threw; the work goes on. */
  error: unknown;
};

/** Part of a client that lives across connections: a monitor, a lock. Called in the order of registration. */
export type SessionMember = {
  connected(connection: Connection): void;
  disconnected(): void;
  notification?(method: string, params: readonly unknown[]): void;
  /** The client was closed: no connection will come. */
  closed?(): void;
};

type Pending = Answer & {
  readonly method: string;
  readonly params: readonly unknown[];
  readonly repeatable: boolean;
  sent: { readonly connection: Connection; readonly id: number } | undefined;
};

/** One client's connection kept up: dials, backs off, queues what waits, and tells its members. */
export class Session {
  readonly #options: ClientOptions;
  readonly #limits: ConnectionOptions;
  readonly #addresses: readonly { readonly text: string; readonly address: Address }[];
  readonly #events = new Emitter<SessionEvents>((error) => this.report(error));
  readonly #members = new Set<SessionMember>();
  readonly #queue = new Set<Pending>();
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #connection: Connection | undefined;
  #attempt = 0;
  #reporting = false;

  constructor(options: ClientOptions) {
    const { address } = options;
    const texts = typeof address === 'string' ? [address] : address;
    if (texts.length === 0) throw new BadAddressError('no address');
    this.#options = options;
    this.#addresses = texts.map((text) => ({ text, address: parseAddress(text) }));
    this.#limits = {
      maxSendBytes: options.maxSendBytes ?? 64 * 1024 * 1024,
      inactivityMs: options.inactivityMs ?? 5000,
      ...(options.maxReceiveBytes === undefined ? {} : { maxBytes: options.maxReceiveBytes }),
    };
    this.#done = this.#run();
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  get isClosed(): boolean {
    return this.#stop.signal.aborted;
  }

  readonly on: Emitter<SessionEvents>['on'] = (name, listener) => this.#events.on(name, listener);

  /** Adds a member; when a connection is there, it is told so at once. Returns what takes it away. */
  join(member: SessionMember): () => void {
    this.#members.add(member);
    if (this.#connection !== undefined) member.connected(this.#connection);
    return () => void this.#members.delete(member);
  }

  /** Tells of an error of somebody's listener: to the `error` event, or as a warning of the process when none listens. */
  report(error: unknown): void {
    if (this.#reporting || !this.#events.has('error')) {
      process.emitWarning(error instanceof Error ? error : new Error('a listener threw', { cause: error }));
      return;
    }
    this.#reporting = true;
    this.#events.emit('error', error);
    this.#reporting = false;
  }

  /** Ends the connection that is there, if any; another one is made. */
  drop(error: OvsdbError): void {
    this.#connection?.close(error);
  }

  /** Waits `ms`, less when the session is closed. */
  pause(ms: number): Promise<void> {
    return pause(ms, this.#stop.signal);
  }

  /** Full-jitter wait before the n-th repeat, in milliseconds. */
  delay(attempt: number): number {
    return backoffDelay(attempt, this.#options.backoff ?? {}, this.#options.random ?? Math.random);
  }

  /** Sends a request when there is a connection and room; `repeatable` ones are sent again after a loss. */
  request(
    method: string,
    params: readonly unknown[],
    {
      timeoutMs = this.#options.timeoutMs ?? 30_000,
      signal,
      repeatable = false,
    }: CallOptions & { repeatable?: boolean },
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.isClosed) return Promise.reject(new ClosedError());
    if (signal?.aborted) return Promise.reject(signal.reason);
    const maxQueued = this.#options.maxQueued ?? 10_000;
    if (this.#queue.size >= maxQueued) {
      return Promise.reject(new OverloadError(`${maxQueued} requests wait already`));
    }
    const giveUp = (reason: Error) => {
      this.#queue.delete(pending);
      const { sent } = pending;
      pending.reject(reason);
      sent?.connection.forget(sent.id);
      this.#flush();
    };
    const onAbort = () => giveUp(signal?.reason);
    const timer = setTimeout(
      () => giveUp(new DeadlineError(`${method}: no answer in ${timeoutMs} ms`)),
      Math.min(timeoutMs, 2 ** 31 - 1),
    );
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const pending: Pending = {
      method,
      params,
      repeatable,
      sent: undefined,
      resolve(result) {
        settle();
        resolve(result);
      },
      reject(error) {
        settle();
        reject(error);
      },
    };
    this.#queue.add(pending);
    this.#flush();
    return promise;
  }

  /** Ends everything; calls that wait fail with `closed`. May be called twice. */
  async close(): Promise<void> {
    if (!this.isClosed) {
      this.#stop.abort(new ClosedError());
      const waiting = [...this.#queue];
      this.#queue.clear();
      this.#connection?.close(new ClosedError());
      for (const pending of waiting) pending.reject(new ClosedError());
      for (const member of [...this.#members]) member.closed?.();
    }
    await this.#done;
  }

  #flush(): void {
    const max = this.#options.maxInFlight ?? 256;
    for (const pending of this.#queue) {
      const connection = this.#connection;
      if (connection === undefined || !connection.isOpen || connection.inFlight >= max) return;
      this.#queue.delete(pending);
      this.#send(pending, connection);
    }
  }

  #send(pending: Pending, connection: Connection): void {
    const answer: Answer = {
      resolve: (result) => {
        pending.resolve(result);
        this.#flush();
      },
      reject: (error) => {
        pending.sent = undefined;
        if (pending.repeatable && error instanceof ConnectionLostError && !this.isClosed) this.#queue.add(pending);
        else pending.reject(error);
        this.#flush();
      },
    };
    try {
      pending.sent = { connection, id: connection.request(pending.method, pending.params, answer) };
    } catch (error) {
      pending.reject(error as Error);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let turn = 0; !signal.aborted; turn++) {
      const target = this.#addresses[turn % this.#addresses.length];
      if (target === undefined) return;
      const error = await this.#live(target.text, target.address);
      if (signal.aborted) return;
      const delayMs = this.delay(this.#attempt);
      this.#events.emit('reconnecting', { attempt: this.#attempt, delayMs, error });
      this.#attempt += 1;
      await this.pause(delayMs);
    }
  }

  /** One connection from dial to end; answers why it ended. */
  async #live(text: string, address: Address): Promise<OvsdbError> {
    const { signal } = this.#stop;
    const timeout = AbortSignal.timeout(this.#options.connectTimeoutMs ?? 5000);
    try {
      const socket = await dial(address, this.#options.tls ?? {}, AbortSignal.any([signal, timeout]));
      const closed = Promise.withResolvers<OvsdbError>();
      let answered = false;
      const connection = new Connection(socket, this.#limits, {
        notification: (method, params) => {
          for (const member of this.#members) member.notification?.(method, params);
        },
        answered: () => {
          answered = true;
        },
        closed: (error) => {
          if (this.#connection === connection) this.#connection = undefined;
          // A peer that answers and then breaks the protocol is met again slower and slower.
          if (answered && !(error instanceof ProtocolError)) this.#attempt = 0;
          for (const member of this.#members) member.disconnected();
          if (!signal.aborted) this.#events.emit('disconnected', { error });
          closed.resolve(error);
        },
      });
      this.#connection = connection;
      if (this.#options.dbChangeAware ?? true) {
        // An older server answers `unknown method` and then just disconnects us on a change.
        connection.request('set_db_change_aware', [true], { resolve: () => undefined, reject: () => undefined });
      }
      this.#events.emit('connected', { address: text });
      for (const member of [...this.#members]) member.connected(connection);
      this.#flush();
      return await closed.promise;
    } catch (error) {
      if (error instanceof OvsdbError) return error;
      return new ConnectionLostError('cannot connect in time', { cause: error });
    }
  }
}
