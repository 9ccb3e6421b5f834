import { applyDiff, decodeValue } from './decode-value.ts';
import { defaultValue } from './defaults.ts';
import { sameValue } from './equal.ts';
import { NoIndexError, ProtocolError } from './errors.ts';
import { RowIndex } from './row-index.ts';
import { type Atom, isUuid, type Uuid, type Value } from './rows.ts';
import type { ColumnType, TableSchema } from './schema.ts';

/** A row in the cache. */
export type StoredRow = { readonly _uuid: Uuid; readonly [column: string]: Value };

/** What became of one row. */
export type StoredChange = {
  readonly table: string;
  readonly uuid: Uuid;
  readonly kind: 'insert' | 'modify' | 'delete';
  readonly before: StoredRow | undefined;
  readonly after: StoredRow | undefined;
};

type WireRow = { readonly [column: string]: unknown };

/** The rows of one monitored table and their indexes. A row is never changed: another takes its place. */
export class TableStore {
  readonly name: string;
  readonly #columns: ReadonlyMap<string, ColumnType>;
  readonly #defaults: StoredRow;
  readonly #indexes: ReadonlyMap<string, RowIndex>;
  #rows = new Map<Uuid, StoredRow>();

  constructor(name: string, table: TableSchema, columns: readonly string[], indexes: readonly string[]) {
    this.name = name;
    const types = columns.flatMap((column) => {
      const type = table.columns.get(column)?.type;
      return type === undefined || column === '_uuid' ? [] : [[column, type] as const];
    });
    this.#columns = new Map(types);
    this.#defaults = compact(types.map(([column, type]) => [column, defaultValue(type)]));
    this.#indexes = new Map(indexes.map((spec) => [spec, new RowIndex(table, spec, name)]));
  }

  get rows(): ReadonlyMap<Uuid, StoredRow> {
    return this.#rows;
  }

  /** Takes the rows of a store that was made by an earlier schema. */
  adopt(older: TableStore): void {
    for (const row of older.rows.values()) this.put(row);
  }

  /** @throws NoIndexError `no-index` when the index was not declared */
  find(index: string, atom: Atom | null): StoredRow[] {
    const found = this.#indexes.get(index);
    if (found === undefined) throw new NoIndexError(`${this.name} has no index ${index}`);
    const rows: StoredRow[] = [];
    for (const id of found.find(atom)) {
      const row = this.#rows.get(id);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  /** A whole row from the wire; columns that are not there have their default. @throws ProtocolError `protocol` */
  decode(id: string, wire: WireRow): StoredRow {
    if (!isUuid(id)) throw new ProtocolError('a row has no uuid');
    return this.#filled({ ...this.#defaults, _uuid: id }, wire, (type, _before, value) => decodeValue(type, value));
  }

  /** The row after a `modify` of `<row-update2>`. @throws ProtocolError `protocol`, also when there is no such row */
  modified(id: string, diff: WireRow): StoredRow {
    const before = this.#rows.get(id as Uuid);
    if (before === undefined) throw new ProtocolError(`${this.name}: a change of a row that is not there`);
    return this.#filled({ ...before }, diff, applyDiff);
  }

  /** Puts a row in or in another's place; undefined when it is there just so. */
  put(row: StoredRow): StoredChange | undefined {
    const before = this.#rows.get(row._uuid);
    if (before !== undefined && this.#same(before, row)) return undefined;
    for (const index of this.#indexes.values()) {
      if (before !== undefined && before[index.column] === row[index.column]) continue;
      if (before !== undefined) index.remove(row._uuid, before);
      index.add(row._uuid, row);
    }
    this.#rows.set(row._uuid, row);
    return { table: this.name, uuid: row._uuid, kind: before === undefined ? 'insert' : 'modify', before, after: row };
  }

  /** Takes a row away; undefined when it is not there. */
  remove(id: Uuid): StoredChange | undefined {
    const before = this.#rows.get(id);
    if (before === undefined) return undefined;
    for (const index of this.#indexes.values()) index.remove(id, before);
    this.#rows.delete(id);
    return { table: this.name, uuid: id, kind: 'delete', before, after: undefined };
  }

  #filled(
    row: { _uuid: Uuid; [column: string]: Value },
    wire: WireRow,
    read: (type: ColumnType, before: Value, value: unknown) => Value,
  ): StoredRow {
    for (const column in wire) {
      const type = this.#columns.get(column);
      if (type !== undefined) row[column] = read(type, row[column] ?? null, wire[column]);
    }
    return row;
  }

  #same(a: StoredRow, b: StoredRow): boolean {
    for (const column of this.#columns.keys()) if (!sameValue(a[column] ?? null, b[column] ?? null)) return false;
    return true;
  }
}

/**
 * A row to copy others from. An object that comes out of the JSON parser, and its copies, are laid out as records;
 * one that got a dozen columns by name would be a hash table, three times as large.
 */
function compact(columns: readonly (readonly [string, Value])[]): StoredRow {
  const blank = Object.fromEntries([['_uuid', null], ...columns.map(([column]) => [column, null])]);
  const row = JSON.parse(JSON.stringify(blank)) as { _uuid: Uuid; [column: string]: Value };
  for (const [column, value] of columns) row[column] = value;
  return row;
}
