import { mayBegin, stateDuring } from '../../core/instance-state.ts';
import type { OperationRecord } from '../../core/operation/journal.ts';
import type { AcceptRequest, AcceptResult } from '../../core/ports/node-store.ts';
import type { InstanceRecord } from '../../core/records.ts';
import type { Sql } from '../../kit/sqlite.ts';
import { exhausted } from './capacity.ts';
import type { CommandTable, SealedSecret, Touched } from './commands.ts';
import { readInstance, readLastDestroy, readOperation, toJson, unended } from './rows.ts';

type AcceptCommand = CommandTable['accept']['args'];
type Request = AcceptCommand['request'];

/** Checks a request against what is there and journals it as `queued`, or says why not. */
export function applyAccept(sql: Sql, touched: Touched, command: AcceptCommand, atMs: number): AcceptResult {
  const { request } = command;
  const { id, kind, instance: instanceId } = request.operation;
  const instance = readInstance(sql, instanceId);
  const refusal = repeated(sql, request, instance) ?? refused(sql, request, instance);
  if (refusal) return refusal;

  const running = kind === 'destroy' ? runningOperation(sql, instanceId) : null;
  if (running) {
    sql('UPDATE operations SET cancel_requested = 1 WHERE id = ?').run(running.id);
    touched.operations.add(running.id);
  }
  // the key goes to the newest: a destroy that failed before, the build of an instance that is gone
  if (kind === 'destroy' || kind === 'build') sql('UPDATE operations SET key = NULL WHERE key = ?').run(request.key);
  // an instance that moved away may be built here again, when it moves back
  if (kind === 'finish_migration') sql('UPDATE operations SET key = NULL WHERE key = ?').run(`build:${instanceId}`);
  if (request.newInstance) insertInstance(sql, request.newInstance, request.claimsHost);
  else if (instance) {
    const during = stateDuring(kind, instance.state);
    if (during !== instance.state) sql('UPDATE instances SET state = ? WHERE id = ?').run(during, instanceId);
  }
  insertOperation(sql, request, kind === 'build' ? null : (instance?.state ?? null), running?.id ?? null, atMs);
  for (const secret of command.secrets) insertSecret(sql, request, secret);
  sql('INSERT INTO audit (at_ms, by, action, instance, operation) VALUES (?, ?, ?, ?, ?)').run(
    atMs,
    request.operation.requestedBy,
    kind,
    instanceId,
    id,
  );
  touched.operations.add(id);
  touched.changed.add(instanceId);
  touched.reported.add(instanceId);
  const operation = readOperation(sql, 'id = ?', id);
  if (!operation) throw new Error('an operation that was just inserted is not there');
  return { outcome: 'accepted', operation };
}

function runningOperation(sql: Sql, instance: string): OperationRecord | null {
  return readOperation(sql, `instance = ? AND kind <> 'destroy' AND state IN ${unended}`, instance);
}

/** The answer to a request that was made before. */
function repeated(sql: Sql, request: Request, instance: InstanceRecord | null): AcceptResult | null {
  const { kind, instance: instanceId } = request.operation;
  if (kind === 'destroy') {
    const last = readLastDestroy(sql, instanceId);
    const pending = last !== null && !['succeeded', 'failed', 'cancelled'].includes(last.state);
    if (last && (pending || instance?.state === 'deleted')) return { outcome: 'same', operation: last };
    return null;
  }
  if (request.key === null) return null;
  const known = readOperation(sql, 'key = ?', request.key);
  const before = known && buildsAnew(request, known, instance) ? sameRequest(sql, request) : known;
  if (!before) return null;
  const fields = differences(sql, request, before);
  return fields.length === 0
    ? { outcome: 'same', operation: before }
    : { outcome: 'differs', operation: before, fields };
}

/**
 * Whether a build is meant to make an instance that is gone once more, as a platform does that moves or shelves it: it says so by a `request_id` that
 * the build before did not have. Without one, a late copy of the first request would make it again.
 */
function buildsAnew({ operation }: Request, before: OperationRecord, instance: InstanceRecord | null): boolean {
  const { kind, requestId } = operation;
  return kind === 'build' && instance?.state === 'deleted' && requestId !== null && requestId !== before.requestId;
}

/** The build that the same request began, whatever came after it. */
function sameRequest(sql: Sql, { operation }: Request): OperationRecord | null {
  const { instance, requestId } = operation;
  return readOperation(
    sql,
    "instance = ? AND kind = 'build' AND request_id = ? ORDER BY seq DESC",
    instance,
    requestId,
  );
}

/** Names of arguments that were added, removed or changed. */
function differences(sql: Sql, request: Request, before: OperationRecord): readonly string[] {
  const row = sql('SELECT fingerprint FROM operations WHERE id = ?').get(before.id) as { fingerprint: string };
  const old = new Map(Object.entries(JSON.parse(row.fingerprint) as Record<string, string>));
  const now = new Map(Object.entries(request.fingerprint));
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  const fields = names.filter((name) => old.get(name) !== now.get(name));
  if (fields.length > 0) return fields;
  if (before.kind !== request.operation.kind) return ['method'];
  return before.instance === request.operation.instance ? [] : ['uuid'];
}

/** Why a request that is new can't be accepted. */
function refused(sql: Sql, request: Request, instance: InstanceRecord | null): AcceptResult | null {
  const { kind, instance: instanceId } = request.operation;
  if (kind !== 'build' && (instance === null || instance.state === 'deleted')) return { outcome: 'no-instance' };
  if (kind !== 'destroy') {
    const running = readOperation(sql, `instance = ? AND state IN ${unended} ORDER BY seq`, instanceId);
    if (running) return { outcome: 'operation-runs', operation: running };
  }
  // A deleted instance whose build was pruned leaves its uuid free again.
  const state = kind === 'build' && instance?.state === 'deleted' ? null : (instance?.state ?? null);
  if (!mayBegin(kind, state)) return { outcome: 'bad-state', state: state ?? 'deleted' };
  const full = exhausted(sql, instanceId, request.share);
  if (full || !request.claimsHost) return full;
  const holder = sql('SELECT id FROM instances WHERE claimed = 1 AND id <> ?').get(instanceId) as
    | { id: InstanceRecord['id'] }
    | undefined;
  return holder ? { outcome: 'host-claimed', instance: holder.id } : null;
}

function insertInstance(sql: Sql, record: NonNullable<AcceptRequest['newInstance']>, wholeHost: boolean): void {
  sql(`
    INSERT INTO instances (id, name, state, flavor, claimed, whole_host, generation, metadata, ssh_keys, guest)
    VALUES (?, ?, 'building', ?, ?, ?, 0, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, flavor = excluded.flavor,
      claimed = excluded.claimed, whole_host = excluded.whole_host, todo = NULL, metadata = excluded.metadata,
      ssh_keys = excluded.ssh_keys, guest = excluded.guest
  `).run(
    record.id,
    record.name,
    JSON.stringify(record.flavor),
    record.claimed ? 1 : 0,
    wholeHost ? 1 : 0,
    JSON.stringify(record.metadata),
    JSON.stringify(record.sshKeys),
    toJson(record.guest),
  );
}

function insertOperation(
  sql: Sql,
  request: Request,
  stateBefore: string | null,
  waitsFor: string | null,
  atMs: number,
): void {
  const { operation } = request;
  sql(`
    INSERT INTO operations (id, kind, plan_version, instance, state, request, state_before, waits_for, requested_by,
      request_id, key, fingerprint, created_at, updated_at)
    VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)
  `).run(
    operation.id,
    operation.kind,
    operation.planVersion,
    operation.instance,
    JSON.stringify(operation.request),
    stateBefore,
    waitsFor,
    operation.requestedBy,
    operation.requestId,
    request.key,
    JSON.stringify(request.fingerprint),
    atMs,
    atMs,
  );
}

function insertSecret(sql: Sql, { operation }: Request, { id, keepWith, sealed }: SealedSecret): void {
  const binding = typeof keepWith === 'object';
  sql('INSERT INTO secrets (id, operation, instance, keep_with, function_id, sealed) VALUES (?, ?, ?, ?, ?, ?)').run(
    id,
    operation.id,
    operation.instance,
    binding ? 'binding' : keepWith,
    binding ? keepWith.functionId : null,
    sealed,
  );
}
