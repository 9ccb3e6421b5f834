import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { DpuError } from '../core/errors.ts';
import { databaseError, sqliteCode } from './sqlite.ts';

/** A state directory held for one process. */
export interface StateLock {
  release(): void;
}

/**
 * Holds a state directory (made with 0700 where it is not there), so that two daemons never share one. The lock is the
 * kernel's: it goes with the process, however that ends.
 * @throws DpuError `conflict` when another process has it; as `databaseError`.
 */
export function lockState(directory: string): StateLock {
  const file = join(directory, 'lock.db');
  const db = openLock(directory, file);
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (sqliteCode(error)?.startsWith('SQLITE_BUSY')) {
      throw new DpuError('conflict', `another process runs on the state directory ${directory}`, { cause: error });
    }
    throw databaseError(error, `locking the state directory ${directory}`);
  }
  return { release: () => db.close() };
}

function openLock(directory: string, file: string): Database.Database {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    closeSync(openSync(file, 'a', 0o600));
    return new Database(file, { timeout: 0 });
  } catch (error) {
    throw databaseError(error, `locking the state directory ${directory}`);
  }
}
