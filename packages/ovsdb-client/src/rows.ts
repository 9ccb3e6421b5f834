declare const uuidBrand: unique symbol;

/** Identity of a row, lower-case with hyphens (RFC 7047 3.1 `<uuid>`). Made by the server, or by `uuid()` from text. */
export type Uuid = string & { readonly [uuidBrand]: true };

/** Stands for a row that another operation of the same transaction inserts under `uuidName` (RFC 7047 5.1 `<named-uuid>`). */
export type NamedUuid = { readonly namedUuid: string };

/** RFC 7047 5.1 `<atom>`. Integers beyond 2^53 are rounded. */
export type Atom = string | number | boolean;

/**
 * A column's value: an atom; `null` for an optional atom that is not set (a set of at most one); a `Set` for any other
 * set; a `Map` for a map, whatever its size.
 */
export type Value = Atom | null | ReadonlySet<Atom> | ReadonlyMap<Atom, Atom>;

/** Tables of a database nobody described. */
export type AnyTables = { readonly [table: string]: { readonly [column: string]: Value } };

/** Names of the tables that were described. */
export type TableName<T extends object> = keyof T & string;

/** Columns that every table has (RFC 7047 3.2). */
export type ImplicitColumns = { readonly _uuid: Uuid; readonly _version: Uuid };

/** Names of a table's columns, `_uuid` and `_version` included. */
export type ColumnName<R> = (keyof R & string) | keyof ImplicitColumns;

/** Value of a column, `_uuid` and `_version` included. */
export type ColumnValue<R, C> = C extends keyof ImplicitColumns ? Uuid : C extends keyof R ? R[C] : never;

/** A row as it is read: its columns, and always its `_uuid`. */
export type Row<R> = R & { readonly _uuid: Uuid };

type AtomInput<A> = A extends Uuid ? A | NamedUuid : A;

type AnyInput =
  | Atom
  | NamedUuid
  | null
  | ReadonlySet<Atom | NamedUuid>
  | readonly (Atom | NamedUuid)[]
  | ReadonlyMap<Atom, Atom | NamedUuid>
  | { readonly [key: string]: Atom | NamedUuid };

type InputOf<V> =
  V extends ReadonlyMap<infer K, infer X>
    ? ReadonlyMap<K, AtomInput<X>> | { readonly [key: string]: AtomInput<X> }
    : V extends ReadonlySet<infer E>
      ? ReadonlySet<AtomInput<E>> | readonly AtomInput<E>[]
      : AtomInput<V>;

/** What may be written where `V` is read: arrays for sets, records for maps, named uuids for uuids as well. */
export type Input<V> = [Value] extends [V] ? AnyInput : InputOf<V>;

/** Columns to write; those left out (or `undefined`) keep their value, or get the default in an insert. */
export type RowInput<R> = { readonly [C in keyof R]?: Input<R[C]> | undefined };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for the text form of a row's identity (RFC 7047 3.1). */
export function isUuid(text: unknown): text is Uuid {
  return typeof text === 'string' && UUID.test(text);
}

/**
 * Takes text for a row's identity.
 *
 * @throws TypeError when it is not one
 */
export function uuid(text: string): Uuid {
  const lower = text.toLowerCase();
  if (!isUuid(lower)) throw new TypeError('not a UUID');
  return lower;
}

/** Refers to a row by the `uuidName` of its insert in the same transaction (RFC 7047 5.2.1). */
export function namedUuid(name: string): NamedUuid {
  return { namedUuid: name };
}
