import type { Connection } from './connection.ts';
import { Emitter } from './emitter.ts';
import { ClosedError, ConnectionLostError, RequestError } from './errors.ts';
import { raced } from './raced.ts';
import type { CallOptions, Session, SessionMember } from './session.ts';

/** What happens to a lock. */
export type LockEvents = {
  /** We own it (RFC 7047 4.1.9, or the answer to the request). */
  locked: { readonly id: string };
  /** Another client took it (RFC 7047 4.1.10); we stay in the queue behind it. */
  stolen: { readonly id: string };
  /** The connection that owned it is gone; with the next one we ask again. */
  lost: { readonly id: string };
  /** The server refused the request. */
  error: unknown;
};

/**
 * A lock of the server (RFC 7047 4.1.8), asked for on each connection until it is released. Made by `Client.lock`.
 * Owning it is news that may be old: transactions that need it carry the operation `assert`.
 */
export class Lock implements SessionMember {
  readonly id: string;
  readonly #session: Session;
  readonly #events: Emitter<LockEvents>;
  readonly #leave: () => void;
  readonly #waiters = new Set<PromiseWithResolvers<void>>();
  readonly #onRelease: () => void;
  #steal: boolean;
  #held = false;
  #asked: Connection | undefined;
  #released = false;

  constructor(session: Session, id: string, steal: boolean, onRelease: () => void) {
    this.id = id;
    this.#session = session;
    this.#steal = steal;
    this.#onRelease = onRelease;
    this.#events = new Emitter((error) => session.report(error));
    this.#leave = session.join(this);
  }

  /** Whether we own it, as far as the server has told. */
  get held(): boolean {
    return this.#held;
  }

  /** Adds a listener; the function returned takes it away again. */
  readonly on: Emitter<LockEvents>['on'] = (name, listener) => this.#events.on(name, listener);

  /** Waits until we own it. @throws DeadlineError `deadline` (only with `timeoutMs`) · ClosedError `closed` · RequestError */
  async acquired(options: CallOptions = {}): Promise<void> {
    if (this.#released) throw new ClosedError();
    if (this.#held) return;
    const waiter = Promise.withResolvers<void>();
    this.#waiters.add(waiter);
    try {
      await raced(waiter.promise, `lock ${this.id}`, {
        timeoutMs: options.timeoutMs ?? 2 ** 31 - 1,
        signal: options.signal,
      });
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** Gives the lock, or the place in its queue, back; the server does so by itself when the connection ends. */
  async release(options: CallOptions = {}): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#held = false;
    this.#leave();
    this.#onRelease();
    for (const waiter of this.#waiters) waiter.reject(new ClosedError());
    if (this.#asked?.isOpen !== true) return;
    try {
      await this.#session.request('unlock', [this.id], options);
    } catch (error) {
      // Without the connection, or with another one, the server holds nothing of ours.
      if (!(error instanceof ConnectionLostError || error instanceof RequestError)) throw error;
    }
  }

  connected(connection: Connection): void {
    this.#asked = connection;
    connection.request(this.#steal ? 'steal' : 'lock', [this.id], {
      resolve: (result) => {
        this.#steal = false; // only once: who was stolen from must not steal back for ever
        if (typeof result === 'object' && result !== null && 'locked' in result && result.locked === true) this.#own();
      },
      reject: (error) => {
        if (error instanceof ConnectionLostError) return;
        this.#events.emit('error', error);
        for (const waiter of this.#waiters) waiter.reject(error);
      },
    });
  }

  disconnected(): void {
    this.#asked = undefined;
    if (!this.#held) return;
    this.#held = false;
    this.#events.emit('lost', { id: this.id });
  }

  closed(): void {
    for (const waiter of this.#waiters) waiter.reject(new ClosedError());
  }

  notification(method: string, params: readonly unknown[]): void {
    if (params[0] !== this.id) return;
    if (method === 'locked') this.#own();
    else if (method === 'stolen' && this.#held) {
      this.#held = false;
      this.#events.emit('stolen', { id: this.id });
    }
  }

  #own(): void {
    if (this.#released || this.#held) return;
    this.#held = true;
    for (const waiter of this.#waiters) waiter.resolve();
    this.#events.emit('locked', { id: this.id });
  }
}
