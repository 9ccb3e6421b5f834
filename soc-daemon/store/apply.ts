import type { InstanceId } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import { applyAccept } from './apply-accept.ts';
import { applyJournal, applySupersede } from './apply-journal.ts';
import { applyAllocation, applyIdentity, applyPort, applyPrune, applySetting } from './apply-node.ts';
import { applyAdopt, applyRecords } from './apply-records.ts';
import type { StoreCommand, Touched } from './commands.ts';
import type { Outbox } from './outbox.ts';
import { readLiveInstances } from './rows.ts';

/** What commands are applied to. */
export interface ApplyTarget {
  readonly sql: Sql;
  readonly outbox: Outbox;
}

/** Applies one command inside the caller's transaction, and what follows from it; answers what its caller gets. */
export function applyCommand(target: ApplyTarget, touched: Touched, command: StoreCommand, atMs: number): unknown {
  const answer = applyOne(target, touched, command, atMs);
  finish(target, touched);
  return answer;
}

function applyOne(target: ApplyTarget, touched: Touched, command: StoreCommand, atMs: number): unknown {
  const { sql, outbox } = target;
  switch (command.type) {
    case 'accept':
      return applyAccept(sql, touched, command, atMs);
    case 'write':
      applyJournal(sql, touched, command.entries, atMs);
      return null;
    case 'supersede':
      applySupersede(sql, touched, command.operation, atMs);
      return null;
    case 'change':
      applyRecords(sql, touched, command.changes);
      for (const instance of touched.changed) touched.reported.add(instance);
      return null;
    case 'adopt':
      applyAdopt(sql, touched, command);
      return null;
    case 'allocate-port':
      return applyAllocation(sql, command);
    case 'put-port':
      applyPort(sql, command.port);
      return null;
    case 'release-port':
      sql('DELETE FROM ports WHERE id = ?').run(command.port);
      return null;
    case 'cast-delivered':
      outbox.delivered(command.seq);
      return null;
    case 'report-all':
      for (const { id } of readLiveInstances(sql)) touched.reported.add(id);
      for (const id of lastDestroyed(sql)) touched.reported.add(id);
      return null;
    case 'set-identity':
      applyIdentity(sql, command.identity);
      return null;
    case 'set-setting':
      applySetting(sql, command.name, command.value);
      return null;
    case 'set-key-check':
      sql('INSERT INTO key_check (only, sealed) VALUES (1, ?)').run(command.sealed);
      return null;
    case 'audit': {
      const { by, action, instance, operation } = command.line;
      sql('INSERT INTO audit (at_ms, by, action, instance, operation) VALUES (?, ?, ?, ?, ?)').run(
        atMs,
        by,
        action,
        instance,
        operation,
      );
      return null;
    }
    case 'prune':
      applyPrune(sql, command, atMs);
      return null;
  }
}

/** Erases secrets that have served, raises generations, and puts the reports that are due into the outbox. */
function finish({ sql, outbox }: ApplyTarget, touched: Touched): void {
  for (const operation of touched.ended) {
    sql(`
      DELETE FROM secrets WHERE operation = ? AND (keep_with = 'operation' OR (keep_with = 'binding'
        AND NOT EXISTS (SELECT 1 FROM bindings WHERE bindings.function_id = secrets.function_id)))
    `).run(operation);
  }
  for (const instance of touched.deleted) {
    sql("DELETE FROM secrets WHERE instance = ? AND keep_with <> 'operation'").run(instance);
  }
  for (const instance of touched.changed) {
    sql('UPDATE instances SET generation = generation + 1 WHERE id = ?').run(instance);
  }
  for (const instance of touched.reported) outbox.report(instance);
  touched.casts = touched.reported.size > 0;
}

/** How many of the instances that went last are told of again. */
const destroyedToldAgain = 100;

/** Instances whose destroy may have been confirmed by a broker that then lost its queues. */
function lastDestroyed(sql: Sql): readonly InstanceId[] {
  return sql(
    `SELECT operations.instance AS id FROM operations JOIN instances ON instances.id = operations.instance
     WHERE operations.kind = 'destroy' AND operations.state = 'succeeded' AND instances.state = 'deleted'
     ORDER BY operations.seq DESC LIMIT ?`,
  )
    .all(destroyedToldAgain)
    .map((row) => (row as { readonly id: InstanceId }).id);
}
