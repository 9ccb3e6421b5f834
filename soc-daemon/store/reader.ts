import { DpuError } from '../../core/errors.ts';
import type { NodeIdentity, NodeStore, OutboxCast, Page } from '../../core/ports/node-store.ts';
import type { InstanceId, JsonObject } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import {
  operationOf,
  portOf,
  readBindings,
  readFunctions,
  readInstance,
  readLastDestroy,
  readLiveInstances,
  readOperation,
  unended,
} from './rows.ts';
import { readInstanceView } from './views.ts';

/** The store's synchronous half. */
export type StoreReader = Pick<
  NodeStore,
  | 'getInstance'
  | 'instanceView'
  | 'listInstances'
  | 'liveInstances'
  | 'getOperation'
  | 'listOperations'
  | 'unendedOperations'
  | 'lastDestroy'
  | 'operationByKey'
  | 'functions'
  | 'bindings'
  | 'ports'
  | 'casts'
  | 'identity'
  | 'setting'
  | 'listAudit'
> & {
  /** A sealed secret, or null. */
  sealedSecret(id: string): Uint8Array | null;
  /** The sealed check value, or null before the first start. */
  keyCheck(): Uint8Array | null;
};

/** Reads through one connection. */
export function createReader(sql: Sql): StoreReader {
  return {
    getInstance: (id) => readInstance(sql, id),
    instanceView: (id) => readInstanceView(sql, id),
    listInstances(state, page) {
      const { after, limit } = bounds(page, 0);
      const rows =
        state === null
          ? sql("SELECT seq, id FROM instances WHERE state <> 'deleted' AND seq > ? ORDER BY seq LIMIT ?").all(
              after,
              limit,
            )
          : sql('SELECT seq, id FROM instances WHERE state = ? AND seq > ? ORDER BY seq LIMIT ?').all(
              state,
              after,
              limit,
            );
      return paged(rows, page, ({ id }) => readInstanceView(sql, id as InstanceId), 'instances');
    },
    liveInstances: () => readLiveInstances(sql),
    getOperation: (id) => readOperation(sql, 'id = ?', id),
    listOperations(filter, page) {
      const { after, limit } = bounds(page, Number.MAX_SAFE_INTEGER);
      const wanted = Object.entries({ instance: filter.instance, state: filter.state, kind: filter.kind }).filter(
        ([, value]) => value !== undefined,
      );
      const where = wanted.map(([column]) => `AND ${column} = ?`).join(' ');
      const rows = sql(`SELECT * FROM operations WHERE seq < ? ${where} ORDER BY seq DESC LIMIT ?`).all(
        after,
        ...wanted.map(([, value]) => value),
        limit,
      );
      return paged(rows, page, (row) => operationOf(sql, row), 'operations');
    },
    unendedOperations: () =>
      sql(`SELECT * FROM operations WHERE state IN ${unended} ORDER BY seq`)
        .all()
        .map((row) => operationOf(sql, row)),
    operationByKey: (key) => readOperation(sql, 'key = ?', key),
    lastDestroy: (instance) => readLastDestroy(sql, instance),
    functions: (instance) => readFunctions(sql, instance),
    bindings: (instance) => readBindings(sql, instance),
    ports: () => sql('SELECT * FROM ports ORDER BY rowid').all().map(portOf),
    casts(limit) {
      const rows = sql('SELECT * FROM outbox ORDER BY seq LIMIT ?').all(limit) as (Omit<OutboxCast, 'args'> & {
        args: string;
      })[];
      return rows.map((row) => ({ ...row, args: JSON.parse(row.args) as JsonObject }));
    },
    identity: () => (sql('SELECT uuid, hostname FROM identity').get() as NodeIdentity | undefined) ?? null,
    setting: (name) =>
      (sql('SELECT value FROM settings WHERE name = ?').pluck().get(name) as string | undefined) ?? null,
    listAudit: (limit) =>
      sql('SELECT at_ms AS atMs, by, action, instance, operation FROM audit ORDER BY seq DESC LIMIT ?').all(
        limit,
      ) as ReturnType<NodeStore['listAudit']>,
    sealedSecret: (id) =>
      (sql('SELECT sealed FROM secrets WHERE id = ?').pluck().get(id) as Uint8Array | undefined) ?? null,
    keyCheck: () => (sql('SELECT sealed FROM key_check').pluck().get() as Uint8Array | undefined) ?? null,
  };
}

/** Where a page begins, and one row more than it holds, which tells whether there is a next. */
function bounds(page: Page, start: number): { readonly after: number; readonly limit: number } {
  if (page.cursor === null) return { after: start, limit: page.limit + 1 };
  if (!/^\d{1,15}$/.test(page.cursor)) {
    throw new DpuError('invalid', 'cursor is not one that a listing answered', { field: 'cursor' });
  }
  return { after: Number(page.cursor), limit: page.limit + 1 };
}

function paged<Item, Name extends string>(
  rows: readonly unknown[],
  page: Page,
  item: (row: { readonly id: string }) => Item | null,
  name: Name,
): { readonly [Each in Name]: readonly Item[] } & { readonly next: string | null } {
  const kept = rows.slice(0, page.limit) as { readonly seq: number; readonly id: string }[];
  const items = kept.map(item).filter((each) => each !== null);
  const next = rows.length > page.limit ? String(kept.at(-1)?.seq) : null;
  return { [name]: items, next } as { readonly [Each in Name]: readonly Item[] } & { readonly next: string | null };
}
