import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { FunctionClass, FunctionType } from '../../core/ports/snic-controller.ts';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import { checkDatabase, type DatabaseOptions, databaseError, openWriter, statementCache } from '../../kit/sqlite.ts';
import type { BackendChange } from '../backends/backend.ts';
import { initial } from './migrations/0001-initial.ts';

/**
 * What was last journaled of a function. The words that end in -ing are written before the effect that they name: a start finds
 * what it has to finish by them.
 */
export type Phase = 'reserving' | 'making' | 'made' | 'plugging' | 'plugged' | 'unplugging' | 'destroying';

/** A function of ours. */
export interface FunctionRecord {
  readonly id: FunctionId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  readonly mac: Mac | null;
  readonly features: readonly string[];
  /** A VF's PF, where it was made with one. */
  readonly parent: FunctionId | null;
  readonly mark: OwnershipMark | null;
  /** The backend's own note; null while there is none. */
  readonly reservation: JsonObject | null;
  readonly phase: Phase;
  /** The first address that the host gave it: another one later is `changed`. */
  readonly bdf: string | null;
  readonly representor: string | null;
  readonly vuid: string | null;
  readonly link: 'up' | 'down' | null;
  /** Bits per second. */
  readonly rate: number | null;
  /** A change that was begun. */
  readonly change: BackendChange | null;
}

/** The functions of ours, by id. Whatever a method wrote is on the disk when it returns. */
export interface FunctionStore {
  get(id: FunctionId): FunctionRecord | undefined;
  /** In the order of their making. */
  list(): readonly FunctionRecord[];
  put(record: FunctionRecord): void;
  remove(id: FunctionId): void;
  close(): void;
}

/** `SNIC`, the store's mark in its file's header. */
const applicationId = 0x534e4943;

/** What the store's database is. */
export function functionDatabase(file: string): DatabaseOptions {
  return {
    file,
    applicationId,
    migrations: [initial],
    durability: 'full',
    unsound: [
      `SELECT 1 FROM functions WHERE NOT (json_valid(features) AND json_valid(coalesce(mark, 'null'))
        AND json_valid(coalesce(reservation, 'null')) AND json_valid(coalesce(change, 'null')))`,
    ],
  };
}

type Row = Omit<FunctionRecord, 'features' | 'mark' | 'reservation' | 'change'> & {
  readonly features: string;
  readonly mark: string | null;
  readonly reservation: string | null;
  readonly change: string | null;
};

const columns = [
  'id',
  'type',
  'class',
  'mac',
  'features',
  'parent',
  'mark',
  'reservation',
  'phase',
  'bdf',
  'representor',
  'vuid',
  'link',
  'rate',
  'change',
] as const;

/** Opens the store, or makes an empty one. @throws DpuError `internal` (damaged), `bad_state` (another program's). */
export function openFunctionStore(file: string): FunctionStore {
  const options = functionDatabase(file);
  checkDatabase(options);
  const db = openWriter(options);
  const sql = statementCache(db);
  const names = columns.join(', ');
  const updates = columns.map((name) => `${name} = excluded.${name}`).join(', ');
  const upsert = `INSERT INTO functions (${names}) VALUES (${columns.map((name) => `:${name}`).join(', ')})
    ON CONFLICT (id) DO UPDATE SET ${updates}`;
  return {
    get: (id) => {
      const row = sql(`SELECT ${names} FROM functions WHERE id = ?`).get(id) as Row | undefined;
      return row && recordOf(row);
    },
    list: () => (sql(`SELECT ${names} FROM functions ORDER BY number`).all() as Row[]).map(recordOf),
    put: (record) => {
      written(`writing function ${record.id} into the store`, () =>
        sql(upsert).run({
          ...record,
          features: JSON.stringify(record.features),
          mark: textOf(record.mark),
          reservation: textOf(record.reservation),
          change: textOf(record.change),
        }),
      );
    },
    remove: (id) => {
      written(`removing function ${id} from the store`, () => sql('DELETE FROM functions WHERE id = ?').run(id));
    },
    close: () => {
      db.close();
    },
  };
}

/** A write that the disk did not take is the disk's: `exhausted` or `unavailable`. */
function written(doing: string, write: () => unknown): void {
  try {
    write();
  } catch (error) {
    throw databaseError(error, doing);
  }
}

function textOf(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

function recordOf(row: Row): FunctionRecord {
  const parsed = <Value>(text: string | null): Value | null => (text === null ? null : (JSON.parse(text) as Value));
  return {
    ...row,
    features: JSON.parse(row.features) as string[],
    mark: parsed<OwnershipMark>(row.mark),
    reservation: parsed<JsonObject>(row.reservation),
    change: parsed<BackendChange>(row.change),
  };
}
