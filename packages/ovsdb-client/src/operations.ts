import type {
  ColumnName,
  ColumnValue,
  ImplicitColumns,
  Input,
  NamedUuid,
  Row,
  RowInput,
  TableName,
  Uuid,
  Value,
} from './rows.ts';

/** RFC 7047 5.1 `<function>`. */
export type ConditionFunction = '<' | '<=' | '==' | '!=' | '>=' | '>' | 'includes' | 'excludes';

/** RFC 7047 5.1 `<mutator>`. */
export type Mutator = '+=' | '-=' | '*=' | '/=' | '%=' | 'insert' | 'delete';

// A map fits the type of a set as well, so maps are asked for first.
type ArgumentOf<V> =
  V extends ReadonlyMap<infer _, infer _> ? Input<V> : V extends ReadonlySet<infer E> ? E | Input<V> : Input<V>;

type MutationOf<V> = V extends number
  ? number
  : V extends ReadonlyMap<infer K, infer _>
    ? Input<V> | ReadonlySet<K> | readonly K[]
    : V extends ReadonlySet<infer E>
      ? Input<V> | (E extends Uuid ? E | NamedUuid : E)
      : never;

/** `[column, function, value]` (RFC 7047 5.1 `<condition>`). */
export type Condition<R> = {
  readonly [C in ColumnName<R>]: readonly [C, ConditionFunction, ArgumentOf<ColumnValue<R, C>>];
}[ColumnName<R>];

/** All must hold; none given means every row. */
export type Where<R> = readonly Condition<R>[];

/** `[column, mutator, value]` (RFC 7047 5.1 `<mutation>`). */
export type Mutation<R> = {
  readonly [C in keyof R & string]: readonly [C, Mutator, [Value] extends [R[C]] ? Input<R[C]> : MutationOf<R[C]>];
}[keyof R & string];

/** RFC 7047 5.2.1; `uuid` chooses the row's identity (ovsdb-server 2.13 or later). */
export type InsertOperation<R, K> = {
  readonly op: 'insert';
  readonly table: K;
  readonly row: RowInput<R>;
  readonly uuidName?: string;
  readonly uuid?: Uuid;
};

/** RFC 7047 5.2.2; without `columns` all of them. */
export type SelectOperation<R, K> = {
  readonly op: 'select';
  readonly table: K;
  readonly where: Where<R>;
  readonly columns?: readonly ColumnName<R>[];
};

/** RFC 7047 5.2.3. */
export type UpdateOperation<R, K> = {
  readonly op: 'update';
  readonly table: K;
  readonly where: Where<R>;
  readonly row: RowInput<R>;
};

/** RFC 7047 5.2.4. */
export type MutateOperation<R, K> = {
  readonly op: 'mutate';
  readonly table: K;
  readonly where: Where<R>;
  readonly mutations: readonly Mutation<R>[];
};

/** RFC 7047 5.2.5. */
export type DeleteOperation<R, K> = { readonly op: 'delete'; readonly table: K; readonly where: Where<R> };

/** RFC 7047 5.2.6; `timeout` in milliseconds, 0 fails at once, none waits without end. */
export type WaitOperation<R, K> = {
  readonly op: 'wait';
  readonly table: K;
  readonly where: Where<R>;
  readonly columns: readonly ColumnName<R>[];
  readonly until: '==' | '!=';
  readonly rows: readonly RowInput<R & ImplicitColumns>[];
  readonly timeout?: number;
};

/** RFC 7047 5.2.7 to 5.2.10. */
export type PlainOperation =
  | { readonly op: 'commit'; readonly durable: boolean }
  | { readonly op: 'abort' }
  | { readonly op: 'comment'; readonly comment: string }
  | { readonly op: 'assert'; readonly lock: string };

/** A step that works on one table with rows `R` (RFC 7047 5.2.1 to 5.2.6). */
export type TableOperation<R, K> =
  | InsertOperation<R, K>
  | SelectOperation<R, K>
  | UpdateOperation<R, K>
  | MutateOperation<R, K>
  | DeleteOperation<R, K>
  | WaitOperation<R, K>;

/** One step of a transaction on tables `T` (RFC 7047 5.2). */
export type Operation<T extends object> =
  | { [K in TableName<T>]: TableOperation<T[K], K> }[TableName<T>]
  | PlainOperation;

/** What wait, commit, comment and assert answer: an object without members. */
export type EmptyResult = { readonly [member: string]: never };

type Selected<R, O> = O extends { readonly columns: readonly (infer C)[] }
  ? { readonly [N in C & string]: ColumnValue<R, N> }
  : Row<R> & ImplicitColumns;

/** The answer to one operation (RFC 7047 5.2). */
export type ResultOf<T extends object, O> = O extends { readonly op: 'insert' }
  ? { readonly uuid: Uuid }
  : O extends { readonly op: 'select'; readonly table: infer K }
    ? { readonly rows: readonly Selected<K extends keyof T ? T[K] : never, O>[] }
    : O extends { readonly op: 'update' | 'mutate' | 'delete' }
      ? { readonly count: number }
      : EmptyResult;

/** The answers to a transaction, each at its operation's place. */
export type Results<T extends object, O extends readonly unknown[]> = { -readonly [I in keyof O]: ResultOf<T, O[I]> };
