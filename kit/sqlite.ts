/** Opens SQLite databases the way all our programs keep their state: WAL, durable, checked, migrated, private. */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { DpuError } from '../core/errors.ts';

/** A step of a schema's history; never changed once released. */
export interface Migration {
  /** The `user_version` that it leads to; versions are 1, 2, 3, ... */
  readonly version: number;
  readonly sql: string;
}

/** When a commit is on the disk. */
export type Durability = 'full' | 'flushed' | 'off';

const synchronous = { full: 'FULL', flushed: 'NORMAL', off: 'OFF' } as const satisfies Record<Durability, string>;

/** What a database is and how it is kept. */
export interface DatabaseOptions {
  readonly file: string;
  /** Tells our database from any other (`PRAGMA application_id`). */
  readonly applicationId: number;
  readonly migrations: readonly Migration[];
  /**
   * `full`: a commit is on the disk when it returns. `flushed`: when `openWalFlusher` has flushed it (`group-commit.ts`). `off`: for
   * simulations, survives a killed process only.
   */
  readonly durability: Durability;
  /** For each `user_version` (the first is 1's) a query that finds rows that cannot be read: any means damage. */
  readonly unsound?: readonly string[];
}

/** A prepared statement, kept. */
export type Sql = (text: string) => Database.Statement<unknown[]>;

/** Prepares each text once per connection. */
export function statementCache(db: Database.Database): Sql {
  const cache = new Map<string, Database.Statement<unknown[]>>();
  return (text) => {
    let statement = cache.get(text);
    if (!statement) {
      statement = db.prepare(text);
      cache.set(text, statement);
    }
    return statement;
  };
}

/** Code of SQLite's own error (`SQLITE_FULL`), or null for any other error. */
export function sqliteCode(error: unknown): string | null {
  return error instanceof Database.SqliteError ? error.code : null;
}

/** What is wrong with the disk, by SQLite's code or the system's; null: something else. */
const diskTroubles: readonly (readonly [RegExp, 'exhausted' | 'unavailable', string])[] = [
  [/^(SQLITE_FULL|ENOSPC|EDQUOT)$/, 'exhausted', 'the disk is full'],
  [/^(SQLITE_READONLY|EROFS)/, 'unavailable', 'the file system is read-only'],
  [/^(SQLITE_IOERR|EIO$)/, 'unavailable', 'the disk fails'],
  [/^(SQLITE_CANTOPEN|EACCES$|EPERM$)/, 'unavailable', 'the file may not be opened or made'],
  [/^SQLITE_BUSY/, 'unavailable', 'another process holds the database'],
];

/**
 * What a failed use of a database, or of its directory, comes to: `exhausted` (the disk is full), `unavailable` (read-only, failing,
 * held by another), else `internal`. Our own errors stay as they are.
 */
export function databaseError(error: unknown, doing: string): DpuError {
  if (error instanceof DpuError) return error;
  const code = sqliteCode(error) ?? (error instanceof Error && 'code' in error ? String(error.code) : null);
  const found = diskTroubles.find(([pattern]) => code !== null && pattern.test(code));
  if (!found || code === null) return new DpuError('internal', `${doing} failed`, { cause: error });
  const [, ours, why] = found;
  return new DpuError(ours, `${doing} failed: ${why} (${code})`, { cause: error, details: { disk: code } });
}

/** Page cache of a connection: better-sqlite3's own default is 16 MB, which each connection would fill in time. */
const cacheKib = 1024;

const sideFiles = ['-wal', '-shm', '-journal'] as const;

/**
 * Looks whether a database may be opened, and leaves it and its side files byte for byte as they are. After a clean
 * shutdown the file is read in place (`quick_check`); after an unclean one a copy beside it is recovered and read
 * whole (`integrity_check`), since recovery writes. A missing or empty file is fine.
 * @throws DpuError `internal` (damaged), `bad_state` (another program's, or newer than we know); both name the file.
 */
export function checkDatabase(options: DatabaseOptions): void {
  const { file } = options;
  const scratch = join(dirname(file), `.${basename(file)}.check`);
  rmSync(scratch, { recursive: true, force: true });
  if (!existsSync(file) || statSync(file).size === 0) return;
  const unclean = sideFiles.some((suffix) => existsSync(file + suffix));
  try {
    if (unclean) {
      mkdirSync(scratch, { mode: 0o700 });
      for (const suffix of ['', '-wal', '-journal']) {
        if (existsSync(file + suffix)) {
          copyFileSync(file + suffix, join(scratch, `copy${suffix}`), constants.COPYFILE_FICLONE);
        }
      }
      inspect(new Database(join(scratch, 'copy'), { fileMustExist: true }), options, 'integrity_check');
    } else {
      inspect(new Database(file, { readonly: true, fileMustExist: true }), options, 'quick_check');
    }
  } catch (error) {
    if (error instanceof DpuError) throw error;
    const code = sqliteCode(error);
    if (code === null) {
      const why = error instanceof Error && 'code' in error ? ` (${error.code})` : '';
      throw new DpuError('internal', `checking the database ${file} failed${why}`, { cause: error });
    }
    throw damaged(file, error);
  } finally {
    if (unclean) rmSync(scratch, { recursive: true, force: true });
    else for (const suffix of sideFiles) rmSync(file + suffix, { force: true });
  }
}

function damaged(file: string, cause?: unknown): DpuError {
  return new DpuError(
    'internal',
    `the database ${file} is damaged and was left as it is: move it and its -wal away and start with an empty one, or put a copy back`,
    { cause },
  );
}

function inspect(db: Database.Database, options: DatabaseOptions, check: 'quick_check' | 'integrity_check'): void {
  const { file, applicationId, migrations } = options;
  try {
    const id = db.pragma('application_id', { simple: true });
    const version = Number(db.pragma('user_version', { simple: true }));
    const tables = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
    const empty = id === 0 && version === 0 && tables === 0;
    if (id !== applicationId && !empty) {
      throw new DpuError(
        'bad_state',
        `the database ${file} belongs to another program and was left as it is: name another file`,
      );
    }
    if (version > migrations.length) {
      throw new DpuError(
        'bad_state',
        `the database ${file} has version ${version}, this program knows up to ${migrations.length}, and it was left as it is: start the newer program`,
      );
    }
    if (db.pragma(check, { simple: true }) !== 'ok') throw damaged(file);
    const unsound = options.unsound?.[version - 1];
    if (unsound !== undefined && db.prepare(unsound).get() !== undefined) throw damaged(file);
  } finally {
    db.close();
  }
}

/**
 * Opens the one connection that writes, after `checkDatabase`; makes the file (0600) and its directory (0700), and
 * brings the schema up to date, each migration in its own transaction.
 * @throws DpuError as `databaseError`, naming the file.
 */
export function openWriter(options: DatabaseOptions): Database.Database {
  const { file, applicationId, migrations, durability } = options;
  let db: Database.Database | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    db = new Database(file, { timeout: 5000 });
    // The mark goes into the main file before there is a WAL, so that the file alone tells whose it is.
    if (db.pragma('application_id', { simple: true }) === 0) db.pragma(`application_id = ${applicationId}`);
    db.pragma('journal_mode = WAL');
    db.pragma(`synchronous = ${synchronous[durability]}`);
    db.pragma('foreign_keys = ON');
    db.pragma('secure_delete = ON');
    db.pragma('temp_store = MEMORY');
    db.pragma(`cache_size = -${cacheKib}`);
    db.pragma('journal_size_limit = 16777216');
    migrate(db, migrations);
    return db;
  } catch (error) {
    db?.close();
    throw databaseError(error, `opening the database ${file}`);
  }
}

function migrate(db: Database.Database, migrations: readonly Migration[]): void {
  const from = Number(db.pragma('user_version', { simple: true }));
  migrations.forEach(({ version, sql }, index) => {
    if (version !== index + 1) throw new DpuError('internal', `migration ${version} is out of order`);
    if (version <= from) return;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${version}`);
    }).immediate();
  });
}

/** Opens a connection that only reads; it sees every commit of the writer, which must be open. */
export function openReader(file: string): Database.Database {
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 });
  db.pragma(`cache_size = -${cacheKib}`);
  return db;
}
