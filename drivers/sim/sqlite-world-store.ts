import Database from 'better-sqlite3';
import type { WorldEntry, WorldStore } from './world-store.ts';

interface StoredRow {
  readonly kind: string;
  readonly key: string;
  readonly value: string;
}

/**
 * A store in a file. It survives SIGKILL of the process: what was written is in the kernel's page cache
 * (`synchronous=OFF` loses it only with the machine, which is fine for hardware that does not exist).
 */
export function sqliteWorldStore(file: string): WorldStore {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = OFF');
  database.pragma('cache_size = -1024'); // 1 MiB; the world is small
  database.exec(
    'CREATE TABLE IF NOT EXISTS world (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID',
  );
  const select = database.prepare<[], StoredRow>('SELECT kind, key, value FROM world');
  const upsert = database.prepare('INSERT OR REPLACE INTO world (kind, key, value) VALUES (?, ?, ?)');
  const erase = database.prepare('DELETE FROM world WHERE kind = ? AND key = ?');
  return {
    load: () =>
      select.all().map(({ kind, key, value }): WorldEntry => ({ kind, key, value: JSON.parse(value) as unknown })),
    put: (kind, key, value) => {
      if (value === null) erase.run(kind, key);
      else upsert.run(kind, key, JSON.stringify(value));
    },
    atomically: (work) => database.transaction(work)(),
    close: () => {
      database.close();
    },
  };
}
