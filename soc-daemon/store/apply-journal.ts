import { DpuError } from '../../core/errors.ts';
import { isEnded, type JournalEntry, type OperationState } from '../../core/operation/journal.ts';
import type { InstanceId, OperationId } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import { applyRecords } from './apply-records.ts';
import type { Touched } from './commands.ts';
import { toJson } from './rows.ts';

type Entry<Type extends JournalEntry['type']> = Extract<JournalEntry, { type: Type }>;

/** Applies lines of the journal. @throws DpuError `not_found` for an operation or a step that is not there. */
export function applyJournal(sql: Sql, touched: Touched, entries: readonly JournalEntry[], atMs: number): void {
  for (const entry of entries) {
    switch (entry.type) {
      case 'started':
        applyStarted(sql, touched, entry, atMs);
        break;
      case 'step':
        applyStep(sql, touched, entry, atMs);
        break;
      case 'state':
        applyState(sql, touched, entry, atMs);
        break;
      case 'cancel-requested':
        if (
          sql('UPDATE operations SET cancel_requested = 1, updated_at = ? WHERE id = ?').run(atMs, entry.operation)
            .changes === 0
        ) {
          throw unknownOperation(entry.operation);
        }
        touched.operations.add(entry.operation);
        break;
      case 'records':
        applyRecords(sql, touched, entry.changes);
        break;
    }
  }
}

function unknownOperation(id: OperationId): DpuError {
  return new DpuError('not_found', `the journal has no operation ${id}`);
}

function applyStarted(sql: Sql, touched: Touched, entry: Entry<'started'>, atMs: number): void {
  const row = sql(
    "UPDATE operations SET state = 'running', input = ?, updated_at = ? WHERE id = ? RETURNING instance",
  ).get(JSON.stringify(entry.input), atMs, entry.operation);
  moved(touched, entry.operation, row);
  entry.steps.forEach((name, position) => {
    sql("INSERT INTO steps (operation, name, position, phase) VALUES (?, ?, ?, 'pending')").run(
      entry.operation,
      name,
      position,
    );
  });
}

function applyStep(sql: Sql, touched: Touched, entry: Entry<'step'>, atMs: number): void {
  const over = entry.phase === 'done' || entry.phase === 'undone';
  const begins = entry.phase === 'doing';
  const values: unknown[] = [entry.phase, entry.attempts, begins ? atMs : null, over ? atMs : null];
  const sets = ['phase = ?', 'attempts = ?', 'started_at = coalesce(started_at, ?)', 'ended_at = ?'];
  if (entry.output !== undefined) {
    sets.push('output = ?');
    values.push(toJson(entry.output));
  }
  if (entry.error !== undefined) {
    sets.push('error = ?');
    values.push(toJson(entry.error));
  }
  const { changes } = sql(`UPDATE steps SET ${sets.join(', ')} WHERE operation = ? AND name = ?`).run(
    ...values,
    entry.operation,
    entry.step,
  );
  if (changes === 0) {
    throw new DpuError('not_found', `the journal has no step ${entry.step} of operation ${entry.operation}`);
  }
  touched.operations.add(entry.operation);
}

function applyState(sql: Sql, touched: Touched, entry: Entry<'state'>, atMs: number): void {
  const sets = ['state = ?', 'updated_at = ?'];
  const values: unknown[] = [entry.state, atMs];
  if (entry.error !== undefined) {
    sets.push('error = ?');
    values.push(toJson(entry.error));
  }
  if (entry.result !== undefined) {
    sets.push('result = ?');
    values.push(toJson(entry.result));
  }
  const row = sql(`UPDATE operations SET ${sets.join(', ')} WHERE id = ? RETURNING instance`).get(
    ...values,
    entry.operation,
  );
  moved(touched, entry.operation, row);
  if (isEnded(entry.state)) touched.ended.add(entry.operation);
  if (isEnded(entry.state) || entry.state === 'stuck') touched.settled.add(entry.operation);
}

function moved(touched: Touched, operation: OperationId, row: unknown): void {
  if (row === undefined) throw unknownOperation(operation);
  const { instance } = row as { instance: InstanceId };
  touched.operations.add(operation);
  touched.changed.add(instance);
  touched.reported.add(instance);
}

/**
 * Ends a stuck operation as `failed`; its error stays. One that has ended is fine.
 * @throws DpuError `not_found`, `bad_state` (it is neither).
 */
export function applySupersede(sql: Sql, touched: Touched, id: OperationId, atMs: number): void {
  const row = sql('SELECT state FROM operations WHERE id = ?').get(id) as { state: OperationState } | undefined;
  if (!row) throw unknownOperation(id);
  if (isEnded(row.state)) return;
  if (row.state !== 'stuck') throw new DpuError('bad_state', `operation ${id} is not stuck`);
  applyState(sql, touched, { type: 'state', operation: id, state: 'failed' }, atMs);
}
