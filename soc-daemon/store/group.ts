import type Database from 'better-sqlite3';
import { DpuError } from '../../core/errors.ts';
import type { InstanceId, OperationId } from '../../core/units.ts';
import { type Durability, openWriter, sqliteCode, statementCache } from '../../kit/sqlite.ts';
import { applyCommand } from './apply.ts';
import type { Batch, BatchResult, ErrorData, GroupResult, Touched } from './commands.ts';
import { storeDatabase } from './database.ts';
import { createOutbox } from './outbox.ts';

/** How the writer's connection is opened. */
export interface WriterOptions {
  readonly file: string;
  readonly durability: Durability;
  /** Casts that the outbox holds before superseded ones are dropped. */
  readonly outboxCap: number;
  /** Pages that the file may grow to; 0: no limit. */
  readonly maxPages: number;
}

/** The one connection that writes. */
export interface GroupWriter {
  readonly db: Database.Database;
  /**
   * Commits the batches in one transaction, in order; one that fails is taken back alone.
   * @throws DpuError `internal` when the disk failed: then nothing of the group is kept and nothing more may be written.
   */
  run(batches: readonly Batch[]): GroupResult;
  /** Moves the WAL into the file and closes. */
  close(): void;
}

/** Opens the store's file for writing. @throws DpuError `internal`. */
export function openGroupWriter(options: WriterOptions): GroupWriter {
  const db = openWriter(storeDatabase(options.file, options.durability));
  if (options.maxPages > 0) db.pragma(`max_page_count = ${options.maxPages}`);
  const sql = statementCache(db);
  const target = { sql, outbox: createOutbox(sql, options.outboxCap) };

  function runBatch(batch: Batch, group: Touched): BatchResult {
    const touched = nothingTouched();
    sql('SAVEPOINT batch').run();
    try {
      const answer = applyCommand(target, touched, batch.command, batch.atMs);
      sql('RELEASE batch').run();
      for (const id of touched.operations) group.operations.add(id);
      for (const id of touched.settled) group.settled.add(id);
      for (const id of touched.changed) group.changed.add(id);
      group.casts ||= touched.casts;
      return { id: batch.id, ok: true, answer };
    } catch (error) {
      if (diskFailed(error) || !db.inTransaction) throw error;
      sql('ROLLBACK TO batch').run();
      sql('RELEASE batch').run();
      return { id: batch.id, ok: false, error: errorData(error, batch.command.type) };
    }
  }

  return {
    db,
    run(batches) {
      const group = nothingTouched();
      try {
        sql('BEGIN IMMEDIATE').run();
        const results = batches.map((batch) => runBatch(batch, group));
        sql('COMMIT').run();
        const notice = {
          operations: [...group.operations],
          settled: [...group.settled],
          instances: [...group.changed],
          casts: group.casts,
        };
        return { results, notice };
      } catch (error) {
        if (db.inTransaction) rollBack(db);
        throw new DpuError('internal', `writing the store ${options.file} failed (${sqliteCode(error) ?? 'unknown'})`, {
          cause: error,
        });
      }
    },
    close: () => db.close(),
  };
}

function rollBack(db: Database.Database): void {
  try {
    db.exec('ROLLBACK');
  } catch {
    // The disk failed already and that is what is told; recovery at the next start drops the transaction.
  }
}

function nothingTouched(): Touched {
  return {
    operations: new Set<OperationId>(),
    settled: new Set<OperationId>(),
    ended: new Set<OperationId>(),
    changed: new Set<InstanceId>(),
    reported: new Set<InstanceId>(),
    deleted: new Set<InstanceId>(),
    casts: false,
  };
}

/** Whether an error is the database's or the disk's and not the command's. */
function diskFailed(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== null && !/^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(code);
}

/** An error as data. One that is not ours is `internal`, without its text. */
export function errorData(error: unknown, doing: string): ErrorData {
  if (!(error instanceof DpuError)) {
    const what = sqliteCode(error) ?? (error instanceof Error ? error.name : 'unknown');
    return { code: 'internal', message: `the store's ${doing} failed (${what})` };
  }
  const { code, message, field, details } = error;
  return { code, message, ...(field === undefined ? {} : { field }), ...(details === undefined ? {} : { details }) };
}

/** The error of its data. */
export function errorOf({ code, message, field, details }: ErrorData): DpuError {
  return new DpuError(code, message, {
    ...(field === undefined ? {} : { field }),
    ...(details === undefined ? {} : { details }),
  });
}
