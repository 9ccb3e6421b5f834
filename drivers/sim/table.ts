import type { WorldEntry, WorldStore } from './world-store.ts';

/** Rows of one kind, each written through to the world's store. */
export interface Table<Row extends object> {
  get(key: string): Row | undefined;
  has(key: string): boolean;
  set(key: string, row: Row): void;
  delete(key: string): void;
  /** All rows by key, sorted: an answer does not depend on the order of the past. */
  rows(): readonly Row[];
  readonly size: number;
}

/** Opens a table with what the store had of its kind. */
export function openTable<Row extends object>(
  store: WorldStore,
  kind: string,
  entries: readonly WorldEntry[],
): Table<Row> {
  const rows = new Map<string, Row>();
  for (const entry of entries) if (entry.kind === kind) rows.set(entry.key, entry.value as Row);
  return {
    get: (key) => rows.get(key),
    has: (key) => rows.has(key),
    set: (key, row) => {
      store.put(kind, key, row);
      rows.set(key, row);
    },
    delete: (key) => {
      if (!rows.has(key)) return;
      store.put(kind, key, null);
      rows.delete(key);
    },
    rows: () =>
      [...rows.entries()].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0)).map(([, row]) => row),
    get size() {
      return rows.size;
    },
  };
}
