import { EncodeError } from './errors.ts';
import type { Atom, Uuid, Value } from './rows.ts';
import type { TableSchema } from './schema.ts';

type Columns = { readonly [column: string]: Value };

/**
 * Rows by a column's value: by the atom, by each member of a set, or with `column:key` by the value under a key of a map.
 * A value that one row has costs no set of its own.
 */
export class RowIndex {
  readonly #column: string;
  readonly #key: Atom | undefined;
  readonly #rows = new Map<Atom | null, Uuid | Set<Uuid>>();

  /** @throws EncodeError `encode` when the schema has no such column, or `:key` stands behind one that is not a map */
  constructor(table: TableSchema, spec: string, tableName: string) {
    const colon = spec.indexOf(':');
    this.#column = colon < 0 ? spec : spec.slice(0, colon);
    const type = table.columns.get(this.#column)?.type;
    if (type === undefined) throw new EncodeError(`no column ${this.#column} in ${tableName} to index`);
    if ((type.kind === 'map') !== colon >= 0) {
      throw new EncodeError(`${tableName}: an index on a map, and only on a map, is written column:key (${spec})`);
    }
    const key = spec.slice(colon + 1);
    this.#key = type.kind === 'map' ? (type.key.type === 'integer' ? Number(key) : key) : undefined;
  }

  /** The column that must be monitored for this index. */
  get column(): string {
    return this.#column;
  }

  add(id: Uuid, row: Columns): void {
    for (const atom of this.#atoms(row)) {
      const held = this.#rows.get(atom);
      if (held === undefined) this.#rows.set(atom, id);
      else if (typeof held === 'string') this.#rows.set(atom, new Set([held, id]));
      else held.add(id);
    }
  }

  remove(id: Uuid, row: Columns): void {
    for (const atom of this.#atoms(row)) {
      const held = this.#rows.get(atom);
      if (held === id) this.#rows.delete(atom);
      else if (typeof held === 'object' && held.delete(id) && held.size === 0) this.#rows.delete(atom);
    }
  }

  find(atom: Atom | null): Iterable<Uuid> {
    const held = this.#rows.get(atom);
    if (held === undefined) return [];
    return typeof held === 'string' ? [held] : held;
  }

  #atoms(row: Columns): Iterable<Atom | null> {
    const value = row[this.#column];
    if (value === undefined) return [];
    if (value instanceof Set) return value;
    if (!(value instanceof Map)) return [value as Atom | null];
    const atom: Atom | undefined = this.#key === undefined ? undefined : value.get(this.#key);
    return atom === undefined ? [] : [atom];
  }
}
