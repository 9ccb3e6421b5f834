import type { CachedRow, CacheEvents, MonitorSpec, TableView } from './cache-types.ts';
import { Emitter } from './emitter.ts';
import { ClosedError, EncodeError } from './errors.ts';
import { Monitor, type MonitorHost } from './monitor.ts';
import type { Where } from './operations.ts';
import { raced } from './raced.ts';
import { Replica, type TableWish } from './replica.ts';
import type { TableName } from './rows.ts';
import type { CallOptions } from './session.ts';
import type { StoredRow, TableStore } from './table-store.ts';

/** `pending`: nothing came yet. `synced`: the server's content. `stale`: as it was when the connection was lost. */
export type CacheState = 'pending' | 'synced' | 'stale';

/** What a cache gets from its database. */
export type CacheHost = Pick<MonitorHost, 'session' | 'database' | 'schema' | 'forgetSchema'> & {
  readonly timeoutMs: number;
};

type Stored = { update: { reason: 'initial' | 'update' | 'resync'; changes: readonly object[] } };

/**
 * Rows that the server keeps telling of, indexed, through any number of connections. Made by `Database.monitor`.
 * The rows are never changed in place; what was read stays as it was.
 */
export class Cache<T extends object, M extends MonitorSpec<T>> {
  readonly #host: CacheHost;
  readonly #replica: Replica;
  readonly #monitor: Monitor;
  readonly #events: Emitter<CacheEvents<T, M>>;
  readonly #views = new Map<string, TableView<never, StoredRow>>();
  readonly #leave: () => void;
  readonly #first = Promise.withResolvers<void>();
  readonly #waiters = new Set<{ readonly look: () => void; readonly fail: (error: Error) => void }>();
  #state: CacheState = 'pending';
  #closed = false;

  constructor(host: CacheHost, spec: M) {
    this.#host = host;
    this.#replica = new Replica(spec as { readonly [table: string]: TableWish | undefined });
    this.#events = new Emitter((error) => host.session.report(error));
    this.#monitor = new Monitor({
      session: host.session,
      database: host.database,
      schema: host.schema,
      forgetSchema: host.forgetSchema,
      replica: this.#replica,
      content: (reason, changes) => this.#content(reason, changes),
      stale: (reason) => {
        this.#state = 'stale';
        this.#events.emit('stale', { reason });
      },
      closed: () => this.close(),
      failed: (error) => {
        if (this.#state === 'pending') this.#first.reject(error as Error);
        this.#events.emit('error', error);
      },
    });
    this.#first.promise.catch(() => undefined); // told by `ready`, which nobody need call
    this.#leave = host.session.join(this.#monitor);
  }

  get state(): CacheState {
    return this.#state;
  }

  /** The transaction the content is at, when the server tells (a clustered one does); undefined otherwise. */
  get lastTransaction(): string | undefined {
    return this.#monitor.lastTransaction;
  }

  /** The request that feeds this cache now. */
  get method(): 'monitor_cond_since' | 'monitor_cond' | 'monitor' | undefined {
    return this.#monitor.method;
  }

  /** Adds a listener; the function returned takes it away again. */
  readonly on: Emitter<CacheEvents<T, M>>['on'] = (name, listener) => this.#events.on(name, listener);

  /** Settles when the first content is in, or fails with why the server will not give it. */
  ready(): Promise<void> {
    return this.#first.promise;
  }

  /** A table's rows. @throws EncodeError `encode` when the table is not monitored */
  table<K extends keyof M & TableName<T>>(name: K): TableView<T[K], CachedRow<T[K], M[K]>> {
    const view = this.#views.get(name) ?? this.#makeView(name);
    this.#views.set(name, view);
    return view as unknown as TableView<T[K], CachedRow<T[K], M[K]>>;
  }

  /**
   * Waits until `find` gives something else than undefined, null or false; it is asked at once and after each update.
   *
   * @throws DeadlineError `deadline` · ClosedError `closed` · the signal's reason
   */
  async until<V>(find: () => V | undefined | null | false, options: CallOptions = {}): Promise<V> {
    const { promise, resolve, reject } = Promise.withResolvers<V>();
    const look = () => {
      try {
        const found = find();
        if (found !== undefined && found !== null && found !== false) resolve(found);
      } catch (error) {
        reject(error);
      }
    };
    if (this.#closed) throw new ClosedError();
    const waiter = { look, fail: reject };
    this.#waiters.add(waiter);
    look();
    try {
      return await raced(promise, 'until', {
        timeoutMs: options.timeoutMs ?? this.#host.timeoutMs,
        signal: options.signal,
      });
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /**
   * Monitors other rows of a table (ovsdb-server(7) 4.1.13): settles when those that are new are in and the others gone.
   * Without a connection it settles at once and the rows come with the next one.
   */
  async setWhere<K extends keyof M & TableName<T>>(
    name: K,
    where: Where<T[K]> | false,
    options: CallOptions = {},
  ): Promise<void> {
    if (this.#closed) throw new ClosedError();
    if (!this.#replica.isMonitored(name)) throw new EncodeError(`table ${name} is not monitored`);
    this.#replica.setWhere(name, where as readonly (readonly unknown[])[] | false);
    await raced(this.#monitor.changeWhere(name), 'monitor_cond_change', {
      timeoutMs: options.timeoutMs ?? this.#host.timeoutMs,
      signal: options.signal,
    });
  }

  /** Ends the monitor (RFC 7047 4.1.7); the rows stay readable. May be called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
    this.#monitor.close();
    if (this.#state === 'synced') this.#state = 'stale';
    this.#first.reject(new ClosedError());
    for (const waiter of this.#waiters) waiter.fail(new ClosedError());
  }

  #content(kind: 'replace' | 'resume' | 'update', changes: readonly object[]): void {
    const reason = kind === 'update' ? 'update' : this.#state === 'pending' ? 'initial' : 'resync';
    this.#state = 'synced';
    if (kind !== 'update') this.#events.emit('synced', { resumed: kind === 'resume' });
    if (changes.length > 0 || kind !== 'update') {
      const typed = changes as CacheEvents<T, M>['update']['changes'];
      this.#events.emit('update', { reason, changes: typed } satisfies Stored['update']);
      if (this.#events.has('change')) for (const change of typed) this.#events.emit('change', change);
    }
    for (const waiter of this.#waiters) waiter.look();
    this.#first.resolve();
  }

  #makeView(name: string): TableView<never, StoredRow> {
    if (!this.#replica.isMonitored(name)) throw new EncodeError(`table ${name} is not monitored`);
    const replica = this.#replica;
    const rows = () => replica.store(name)?.rows ?? NO_ROWS;
    return {
      get size() {
        return rows().size;
      },
      get: (id) => rows().get(id),
      has: (id) => rows().has(id),
      rows: () => rows().values(),
      find: (index, value) => replica.store(name)?.find(index, value) ?? [],
      first: (index, value) => replica.store(name)?.find(index, value)[0],
    };
  }
}

const NO_ROWS: TableStore['rows'] = new Map();
