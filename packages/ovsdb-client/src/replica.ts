import { rowFilter } from './condition.ts';
import { encodeWhere, findTable } from './encode-operation.ts';
import { EncodeError, ProtocolError } from './errors.ts';
import type { Uuid } from './rows.ts';
import type { DatabaseSchema } from './schema.ts';
import { type StoredChange, type StoredRow, TableStore } from './table-store.ts';

/** What to monitor of one table, without types. */
export type TableWish = {
  readonly columns?: readonly string[];
  readonly where?: readonly (readonly unknown[])[] | false;
  readonly indexes?: readonly string[];
};

/** A row to put in, or to take away. */
type Step = readonly [TableStore, Uuid, StoredRow | undefined];

type Json = { readonly [member: string]: unknown };

/** The rows of a monitor, and how the three forms of updates change them. Knows nothing of connections. */
export class Replica {
  readonly #wishes = new Map<string, TableWish>();
  readonly #stores = new Map<string, TableStore>();
  #schema: DatabaseSchema | undefined;
  /** Other columns are needed than the stores hold. */
  #outgrown = false;

  constructor(wishes: { readonly [table: string]: TableWish | undefined }) {
    for (const [table, wish] of Object.entries(wishes)) if (wish !== undefined) this.#wishes.set(table, wish);
  }

  /** The table's rows; undefined before the first schema. */
  store(table: string): TableStore | undefined {
    return this.#stores.get(table);
  }

  isMonitored(table: string): boolean {
    return this.#wishes.has(table);
  }

  /**
   * Takes a schema, again after each new connection; the rows stay. True when it is another one.
   *
   * @throws EncodeError `encode` when it lacks what is to be monitored
   */
  prepare(schema: DatabaseSchema): boolean {
    if (this.#schema === schema && !this.#outgrown) return false;
    const stores = [...this.#wishes].map(([name, wish]) => {
      const table = findTable(schema, name);
      const columns = this.#columns(schema, name, wish);
      const missing = columns.find((column) => !table.columns.has(column));
      if (missing !== undefined) throw new EncodeError(`no column ${missing} in ${name}`);
      return new TableStore(name, table, columns, wish.indexes ?? []);
    });
    for (const store of stores) {
      const older = this.#stores.get(store.name);
      if (older !== undefined) store.adopt(older);
      this.#stores.set(store.name, store);
    }
    this.#schema = schema;
    this.#outgrown = false;
    return true;
  }

  setWhere(table: string, where: readonly (readonly unknown[])[] | false): void {
    const before = this.#wishes.get(table) ?? {};
    const after = { ...before, where };
    this.#wishes.set(table, after);
    if (this.#schema === undefined) return;
    const held = this.#columns(this.#schema, table, before);
    if (this.#columns(this.#schema, table, after).some((column) => !held.includes(column))) this.#outgrown = true;
  }

  /** `<monitor-cond-requests>` (ovsdb-server(7) 4.1.12), or `<monitor-requests>` without conditions (RFC 7047 4.1.5). */
  requests(conditional: boolean): Json {
    const schema = this.#ready();
    return Object.fromEntries(
      [...this.#wishes].map(([name, wish]) => [
        name,
        [{ columns: this.#columns(schema, name, wish), ...(conditional ? { where: this.where(name) } : {}) }],
      ]),
    );
  }

  /** A table's conditions in the wire's form. */
  where(table: string): unknown[] {
    const where = this.#wishes.get(table)?.where ?? [];
    return where === false ? [false] : encodeWhere(findTable(this.#ready(), table), where, table);
  }

  /** Applies `<table-updates2>` (ovsdb-server(7) 4.1.14), all or nothing. @throws ProtocolError `protocol` */
  apply(updates: unknown): StoredChange[] {
    const steps: Step[] = [];
    for (const [store, id, update] of this.#updates(updates)) {
      const { insert = update.initial, modify } = update;
      if ('delete' in update) steps.push([store, id, undefined]);
      else if (modify !== undefined) steps.push([store, id, store.modified(id, asRow(modify))]);
      else steps.push([store, id, store.decode(id, asRow(insert))]);
    }
    return carryOut(steps);
  }

  /**
   * Applies `<table-updates>` (RFC 7047 4.1.6) and the conditions that its server did not, all or nothing.
   *
   * @throws ProtocolError `protocol`
   */
  applyPlain(updates: unknown): StoredChange[] {
    const steps: Step[] = [];
    const filters = this.#filters();
    for (const [store, id, update] of this.#updates(updates)) {
      const row = update.new === undefined ? undefined : store.decode(id, asRow(update.new));
      const stays = row !== undefined && filters.get(store.name)?.(row) === true;
      steps.push([store, id, stays ? row : undefined]);
    }
    return carryOut(steps);
  }

  /** Puts the whole content, in either form, in the place of all rows; answers what differs. @throws ProtocolError `protocol` */
  replace(updates: unknown, plain: boolean): StoredChange[] {
    const present = new Map<TableStore, Set<Uuid>>();
    const filters = plain ? this.#filters() : undefined;
    const rows: (readonly [TableStore, StoredRow])[] = [];
    for (const [store, id, update] of this.#updates(updates)) {
      const row = store.decode(id, asRow(plain ? update.new : (update.initial ?? update.insert)));
      if (filters?.get(store.name)?.(row) === false) continue;
      const ids = present.get(store) ?? new Set();
      present.set(store, ids.add(id));
      rows.push([store, row]);
    }
    const gone = [...this.#stores.values()].flatMap((store) =>
      [...store.rows.keys()].filter((id) => !present.get(store)?.has(id)).map((id) => store.remove(id)),
    );
    const put = rows.map(([store, row]) => store.put(row));
    return [...gone, ...put].filter((change) => change !== undefined);
  }

  #filters(): ReadonlyMap<string, (row: StoredRow) => boolean> {
    const schema = this.#ready();
    return new Map(
      [...this.#wishes].map(([name, wish]) => [name, rowFilter(findTable(schema, name), wish.where ?? [], name)]),
    );
  }

  *#updates(updates: unknown): Generator<readonly [TableStore, Uuid, Json]> {
    for (const [name, table] of Object.entries(asRow(updates))) {
      const store = this.#stores.get(name);
      if (store === undefined) throw new ProtocolError(`an update of table ${name}, which was not asked for`);
      for (const [id, update] of Object.entries(asRow(table))) yield [store, id as Uuid, asRow(update)];
    }
  }

  /** The columns asked for, and those that indexes and conditions need. */
  #columns(schema: DatabaseSchema, name: string, wish: TableWish): readonly string[] {
    if (wish.columns === undefined) {
      return [...findTable(schema, name).columns.keys()].filter((column) => !column.startsWith('_'));
    }
    const needed = [
      ...(wish.indexes ?? []).map((index) => index.split(':', 1).join()),
      ...(wish.where === false ? [] : (wish.where ?? []).map(([column]) => String(column))),
    ].filter((column) => column !== '_uuid');
    return [...new Set([...wish.columns, ...needed])];
  }

  #ready(): DatabaseSchema {
    if (this.#schema === undefined) throw new ProtocolError('no schema yet');
    return this.#schema;
  }
}

/** Everything was read before the first row is touched, so an update that cannot be read leaves no trace. */
function carryOut(steps: readonly Step[]): StoredChange[] {
  return steps
    .map(([store, id, row]) => (row === undefined ? store.remove(id) : store.put(row)))
    .filter((change) => change !== undefined);
}

function asRow(json: unknown): Json {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ProtocolError('an update is not an object');
  }
  return json as Json;
}
