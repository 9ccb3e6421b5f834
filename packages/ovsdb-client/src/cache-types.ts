import type { Where } from './operations.ts';
import type { Atom, Row, TableName, Uuid, Value } from './rows.ts';

/** An index: a column's name (the members, for a set), or `column:key` for the value under a key of a map. */
export type IndexName<R> = {
  [C in keyof R & string]: Value extends R[C]
    ? string
    : R[C] extends ReadonlyMap<infer _, infer _>
      ? `${C}:${string}`
      : C;
}[keyof R & string];

/** What to keep of one table. */
export type TableMonitor<R> = {
  /** All of them when left out. */
  readonly columns?: readonly (keyof R & string)[];
  /** Rows for which ONE of the conditions holds (ovsdb-server(7) 4.1.12); all when left out or empty, none when false. */
  readonly where?: Where<R> | false;
  /** What `find` and `first` look up without a search. */
  readonly indexes?: readonly IndexName<R>[];
};

/** What to keep of a database: table by table. */
export type MonitorSpec<T extends object> = { readonly [K in TableName<T>]?: TableMonitor<T[K]> };

/** A row of the cache: the columns that were asked for, and `_uuid`. */
export type CachedRow<R, M> = M extends { readonly columns: readonly (infer C)[] } ? Row<Pick<R, C & keyof R>> : Row<R>;

/** The rows of one table, as they were after the last whole transaction that the server told. */
export type TableView<R, X = R> = {
  readonly size: number;
  get(uuid: Uuid): X | undefined;
  has(uuid: Uuid): boolean;
  rows(): IterableIterator<X>;
  /** Rows by a declared index. @throws NoIndexError `no-index` */
  find(index: IndexName<R>, value: Atom | null): readonly X[];
  /** One of the rows that `find` gives. @throws NoIndexError `no-index` */
  first(index: IndexName<R>, value: Atom | null): X | undefined;
};

/** What became of one row. */
export type Change<T extends object, M> = {
  [K in keyof M & TableName<T>]:
    | {
        readonly table: K;
        readonly uuid: Uuid;
        readonly kind: 'insert';
        readonly before: undefined;
        readonly after: CachedRow<T[K], M[K]>;
      }
    | {
        readonly table: K;
        readonly uuid: Uuid;
        readonly kind: 'modify';
        readonly before: CachedRow<T[K], M[K]>;
        readonly after: CachedRow<T[K], M[K]>;
      }
    | {
        readonly table: K;
        readonly uuid: Uuid;
        readonly kind: 'delete';
        readonly before: CachedRow<T[K], M[K]>;
        readonly after: undefined;
      };
}[keyof M & TableName<T>];

/** What happens to a cache. Rows are read after all of a transaction's changes are in. */
export type CacheEvents<T extends object, M> = {
  /** `initial`: the first content. `resync`: what differs after a connection was lost. `update`: a transaction. */
  update: { readonly reason: 'initial' | 'update' | 'resync'; readonly changes: readonly Change<T, M>[] };
  /** Each of an update's changes. */
  change: Change<T, M>;
  /** The content is the server's again; `resumed`: only what was missed was sent (ovsdb-server(7) 4.1.15). */
  synced: { readonly resumed: boolean };
  /** The content may be old: the connection was lost, or the database went away. */
  stale: { readonly reason: 'disconnected' | 'cancelled' };
  /** The monitor cannot be set up again now; it is tried until it can. */
  error: unknown;
};
