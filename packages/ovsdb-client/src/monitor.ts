import type { Connection } from './connection.ts';
import { ConnectionLostError, ProtocolError, RequestError } from './errors.ts';
import type { Replica } from './replica.ts';
import type { DatabaseSchema } from './schema.ts';
import type { Session, SessionMember } from './session.ts';
import type { StoredChange } from './table-store.ts';

const METHODS = ['monitor_cond_since', 'monitor_cond', 'monitor'] as const;
type Method = (typeof METHODS)[number];

const UPDATES: Readonly<Record<string, Method>> = {
  update3: 'monitor_cond_since',
  update2: 'monitor_cond',
  update: 'monitor',
};

const NO_TRANSACTION = '00000000-0000-0000-0000-000000000000';

let lastId = 0;

/** What a monitor works with and tells. */
export type MonitorHost = {
  readonly session: Session;
  readonly database: string;
  readonly replica: Replica;
  schema(): Promise<DatabaseSchema>;
  /** The database may have another schema now. */
  forgetSchema(): void;
  content(reason: 'replace' | 'resume' | 'update', changes: readonly StoredChange[]): void;
  stale(reason: 'disconnected' | 'cancelled'): void;
  failed(error: unknown): void;
  closed(): void;
};

type Live = { readonly connection: Connection; readonly id: string; readonly method: Method };

/**
 * Keeps a replica in step with the server over any number of connections: `monitor_cond_since` from the last transaction
 * that was seen (ovsdb-server(7) 4.1.15), else `monitor_cond` (4.1.12), else `monitor` (RFC 7047 4.1.5).
 */
export class Monitor implements SessionMember {
  readonly #host: MonitorHost;
  #live: Live | undefined;
  #lastTransaction = NO_TRANSACTION;
  #attempt = 0;
  #turn = 0;
  /** Changes of conditions that the server has not confirmed; while there are any, rows cannot be resumed. */
  #unconfirmed = 0;
  #closed = false;

  constructor(host: MonitorHost) {
    this.#host = host;
  }

  /** The transaction that the replica is at; undefined when the server does not tell (a standalone one does not). */
  get lastTransaction(): string | undefined {
    return this.#lastTransaction === NO_TRANSACTION ? undefined : this.#lastTransaction;
  }

  /** The method that serves now. */
  get method(): Method | undefined {
    return this.#live?.method;
  }

  connected(connection: Connection): void {
    void this.#start(connection);
  }

  disconnected(): void {
    this.#turn += 1;
    if (this.#live === undefined) return;
    this.#live = undefined;
    this.#host.stale('disconnected');
  }

  notification(method: string, params: readonly unknown[]): void {
    const live = this.#live;
    if (live === undefined || params[0] !== live.id) return;
    if (method === 'monitor_canceled') {
      this.#cancelled(live);
      return;
    }
    if (UPDATES[method] !== live.method) return;
    const [, first, second] = params;
    this.#guarded(() => {
      const { replica } = this.#host;
      if (method === 'update3') this.#sawTransaction(first);
      const changes =
        method === 'update' ? replica.applyPlain(first) : replica.apply(method === 'update3' ? second : first);
      this.#host.content('update', changes);
    });
  }

  /** Tells the server of a table's new conditions; settles when the rows are there. */
  changeWhere(table: string): Promise<void> {
    const live = this.#live;
    const { replica } = this.#host;
    this.#unconfirmed += 1;
    if (live === undefined) return Promise.resolve(); // the next start asks for everything
    if (live.method === 'monitor') {
      live.connection.request('monitor_cancel', [live.id], ignore);
      return this.#start(live.connection);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const request = { [table]: [{ where: replica.where(table) }] };
    const turn = this.#turn;
    live.connection.request('monitor_cond_change', [live.id, live.id, request], {
      resolve: () => {
        if (turn === this.#turn) this.#unconfirmed = Math.max(0, this.#unconfirmed - 1);
        resolve();
      },
      // After a loss the next start asks anew with the new conditions.
      reject: (error) => (error instanceof ConnectionLostError ? resolve() : reject(error)),
    });
    return promise;
  }

  closed(): void {
    this.#host.closed();
  }

  close(): void {
    this.#closed = true;
    this.#turn += 1;
    const live = this.#live;
    this.#live = undefined;
    if (live !== undefined) live.connection.request('monitor_cancel', [live.id], ignore);
  }

  async #start(connection: Connection): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    const isCurrent = () => turn === this.#turn && connection.isOpen && !this.#closed;
    while (isCurrent()) {
      try {
        const schema = await this.#host.schema();
        if (!isCurrent()) return;
        if (this.#host.replica.prepare(schema)) this.#lastTransaction = NO_TRANSACTION;
        await this.#begin(connection, isCurrent);
        return;
      } catch (error) {
        if (!isCurrent()) return;
        this.#host.failed(error);
        this.#host.forgetSchema();
        await this.#host.session.pause(this.#host.session.delay(this.#attempt));
        this.#attempt += 1;
      }
    }
  }

  async #begin(connection: Connection, isCurrent: () => boolean): Promise<void> {
    for (const method of METHODS) {
      try {
        return await this.#ask(connection, method, isCurrent);
      } catch (error) {
        const unknown = error instanceof RequestError && error.peerCode === 'unknown method';
        if (!unknown || method === 'monitor') throw error;
      }
    }
  }

  /** The answer is taken where it is read, since updates that follow it in the same packet build on it. */
  #ask(connection: Connection, method: Method, isCurrent: () => boolean): Promise<void> {
    const { replica, database } = this.#host;
    lastId += 1;
    const id = `ovsdb-client-${lastId}`;
    if (this.#unconfirmed > 0) this.#lastTransaction = NO_TRANSACTION;
    this.#unconfirmed = 0;
    const params = [database, id, replica.requests(method !== 'monitor')];
    if (method === 'monitor_cond_since') params.push(this.#lastTransaction);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    connection.request(method, params, {
      reject,
      resolve: (result) => {
        resolve();
        if (!isCurrent()) return void connection.request('monitor_cancel', [id], ignore);
        this.#live = { connection, id, method };
        this.#attempt = 0;
        this.#guarded(() => this.#first(method, result));
        if (this.#unconfirmed === 0) return;
        // Conditions changed while we asked with the old ones.
        connection.request('monitor_cancel', [id], ignore);
        void this.#start(connection);
      },
    });
    return promise;
  }

  #first(method: Method, result: unknown): void {
    const { replica } = this.#host;
    if (method !== 'monitor_cond_since') {
      this.#host.content('replace', replica.replace(result, method === 'monitor'));
      return;
    }
    if (!Array.isArray(result)) throw new ProtocolError('the answer to monitor_cond_since is not an array');
    const [found, transaction, updates] = result as readonly unknown[];
    this.#sawTransaction(transaction);
    if (found === true) this.#host.content('resume', replica.apply(updates));
    else this.#host.content('replace', replica.replace(updates, false));
  }

  #sawTransaction(id: unknown): void {
    if (typeof id !== 'string') throw new ProtocolError('an update has no transaction id');
    this.#lastTransaction = id;
  }

  #cancelled(live: Live): void {
    this.#live = undefined;
    this.#lastTransaction = NO_TRANSACTION;
    this.#host.forgetSchema();
    this.#host.stale('cancelled');
    void this.#start(live.connection);
  }

  /** After what cannot be applied nothing can be resumed either. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#lastTransaction = NO_TRANSACTION;
      throw error;
    }
  }
}

const ignore = { resolve: () => undefined, reject: () => undefined };
