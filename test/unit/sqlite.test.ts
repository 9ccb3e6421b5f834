import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkDatabase, type DatabaseOptions, type Migration, openReader, openWriter } from '../../kit/sqlite.ts';
import { temporaryDirectory } from '../support/store.ts';

let place: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  place = temporaryDirectory();
});
afterEach(() => place.remove());

const first: Migration = { version: 1, sql: "CREATE TABLE t (a TEXT) STRICT; INSERT INTO t VALUES ('kept')" };
const second: Migration = { version: 2, sql: "ALTER TABLE t ADD COLUMN b TEXT; UPDATE t SET b = 'new'" };

function database(...migrations: Migration[]): DatabaseOptions {
  return { file: join(place.path, 'some.db'), applicationId: 77, migrations, durability: 'full' };
}

it('brings an older database up to date and keeps its rows', () => {
  openWriter(database(first)).close();
  checkDatabase(database(first, second));
  const db = openWriter(database(first, second));
  expect(db.prepare('SELECT * FROM t').all()).toEqual([{ a: 'kept', b: 'new' }]);
  expect(db.pragma('user_version', { simple: true })).toBe(2);
  db.close();
  openWriter(database(first, second)).close();
});

it('takes back a migration that fails, whole', () => {
  openWriter(database(first)).close();
  const bad: Migration = { version: 2, sql: `${second.sql}; SELECT * FROM nowhere` };
  expect(() => openWriter(database(first, bad))).toThrowError(expect.objectContaining({ code: 'internal' }));
  const db = openWriter(database(first));
  expect(db.prepare('SELECT * FROM t').all()).toEqual([{ a: 'kept' }]);
  expect(db.pragma('user_version', { simple: true })).toBe(1);
  db.close();
});

it('refuses migrations that are out of order', () => {
  expect(() => openWriter(database(second))).toThrowError(expect.objectContaining({ code: 'internal' }));
});

it('is durable, keyed and strict as asked for', () => {
  const db = openWriter(database(first));
  const pragma = (name: string): unknown => db.pragma(name, { simple: true });
  expect(['journal_mode', 'synchronous', 'foreign_keys', 'application_id'].map(pragma)).toEqual(['wal', 2, 1, 77]);
  db.close();
  const relaxed = openWriter({ ...database(first), durability: 'off' });
  expect(relaxed.pragma('synchronous', { simple: true })).toBe(0);
  relaxed.close();
});

it('reads what the writer has committed, and only reads', () => {
  const db = openWriter(database(first));
  const reader = openReader(database(first).file);
  db.exec("INSERT INTO t VALUES ('more')");
  expect(reader.prepare('SELECT count(*) FROM t').pluck().get()).toBe(2);
  expect(() => reader.exec('DELETE FROM t')).toThrowError(expect.objectContaining({ code: 'SQLITE_READONLY' }));
  reader.close();
  db.close();
});

it('checks without leaving a trace, and lets a missing file be', () => {
  checkDatabase(database(first));
  expect(existsSync(database(first).file)).toBe(false);
  openWriter(database(first)).close();
  checkDatabase(database(first));
  expect(readdirSync(place.path)).toEqual(['some.db']);
});
