/** Rows of the tables and the records they stand for; the reads that both the writer and the readers make. */
import type { ErrorRecord } from '../../core/errors.ts';
import type { InstanceState, OperationKind } from '../../core/instance-state.ts';
import type { OperationRecord, OperationState } from '../../core/operation/journal.ts';
import type { StepPhase, StepRecord } from '../../core/operation/plan.ts';
import type { QosSpec } from '../../core/ports/network-binder.ts';
import type { NetworkPort } from '../../core/ports/network-service.ts';
import {
  type BindingRecord,
  type Flavor,
  type FunctionRecord,
  type GuestRecord,
  type InstanceRecord,
  type InstanceTodo,
  untold,
} from '../../core/records.ts';
import type { FunctionId, InstanceId, Json, JsonObject, Mac, OperationId, PortId } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';

/** States of an operation that has not ended, as a list for SQL. */
export const unended = "('queued', 'running', 'unwinding', 'stuck')";

interface InstanceRow {
  readonly seq: number;
  readonly id: InstanceId;
  readonly name: string;
  readonly state: InstanceState;
  readonly flavor: string;
  readonly claimed: number;
  readonly todo: string | null;
  readonly generation: number;
  readonly metadata: string;
  readonly ssh_keys: string;
  readonly guest: string | null;
}

interface OperationRow {
  readonly seq: number;
  readonly id: OperationId;
  readonly kind: OperationKind;
  readonly plan_version: number;
  readonly instance: InstanceId;
  readonly state: OperationState;
  readonly request: string;
  readonly input: string | null;
  readonly state_before: string | null;
  readonly cancel_requested: number;
  readonly waits_for: OperationId | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly requested_by: string;
  readonly request_id: string | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly fingerprint: string;
}

interface StepRow {
  readonly name: string;
  readonly phase: StepPhase;
  readonly attempts: number;
  readonly output: string | null;
  readonly error: string | null;
  readonly started_at: number | null;
  readonly ended_at: number | null;
}

interface FunctionRow extends Omit<FunctionRecord, 'bdfState'> {
  readonly bdf_state: FunctionRecord['bdfState'];
}

interface BindingRow {
  readonly function_id: FunctionId;
  readonly instance: InstanceId;
  readonly kind: BindingRecord['kind'];
  readonly key: string;
  readonly phase: BindingRecord['phase'];
  readonly made_for_instance: number;
  readonly ips: string;
  readonly boot: number;
  readonly read_only: number;
  readonly size_bytes: number | null;
  readonly bdev: string | null;
  readonly connection_secret: string | null;
  readonly qos: string | null;
}

interface PortRow {
  readonly id: PortId;
  readonly subnet: string | null;
  readonly instance: InstanceId | null;
  readonly mac: Mac;
  readonly ips: string;
  readonly made_for_instance: number;
}

/** JSON text of a value for a column; null stays SQL's null. */
export function toJson(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

function fromJson<Type>(text: string | null): Type | null {
  return text === null ? null : (JSON.parse(text) as Type);
}

function instanceOf(row: InstanceRow): InstanceRecord {
  return {
    id: row.id,
    name: row.name,
    state: row.state,
    flavor: JSON.parse(row.flavor) as Flavor,
    claimed: row.claimed === 1,
    todo: fromJson<InstanceTodo>(row.todo),
    generation: row.generation,
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    sshKeys: JSON.parse(row.ssh_keys) as string[],
    guest: fromJson<GuestRecord>(row.guest) ?? untold,
  };
}

/** An instance, deleted or not. */
export function readInstance(sql: Sql, id: InstanceId): InstanceRecord | null {
  const row = sql('SELECT * FROM instances WHERE id = ?').get(id) as InstanceRow | undefined;
  return row ? instanceOf(row) : null;
}

/** Instances that are not deleted, oldest first. */
export function readLiveInstances(sql: Sql): readonly InstanceRecord[] {
  const rows = sql("SELECT * FROM instances WHERE state <> 'deleted' ORDER BY seq").all() as InstanceRow[];
  return rows.map(instanceOf);
}

function stepsOf(sql: Sql, operation: OperationId): readonly StepRecord[] {
  const rows = sql('SELECT * FROM steps WHERE operation = ? ORDER BY position').all(operation) as StepRow[];
  return rows.map((row) => ({
    name: row.name,
    phase: row.phase,
    attempts: row.attempts,
    output: fromJson<Json>(row.output),
    error: fromJson<ErrorRecord>(row.error),
    startedAtMs: row.started_at,
    endedAtMs: row.ended_at,
  }));
}

/** The operation of a row of `operations`, with its steps. A step that moved counts as an update. */
export function operationOf(sql: Sql, value: unknown): OperationRecord {
  const row = value as OperationRow;
  const steps = stepsOf(sql, row.id);
  return {
    id: row.id,
    kind: row.kind,
    planVersion: row.plan_version,
    instance: row.instance,
    state: row.state,
    request: JSON.parse(row.request) as JsonObject,
    input: fromJson<JsonObject>(row.input),
    stateBefore: row.state_before,
    cancelRequested: row.cancel_requested === 1,
    waitsFor: row.waits_for,
    steps,
    result: fromJson<Json>(row.result),
    error: fromJson<ErrorRecord>(row.error),
    requestedBy: row.requested_by,
    requestId: row.request_id,
    createdAtMs: row.created_at,
    updatedAtMs: Math.max(row.updated_at, ...steps.map((step) => Math.max(step.startedAtMs ?? 0, step.endedAtMs ?? 0))),
  };
}

/** The first operation that a query of `operations` finds. */
export function readOperation(sql: Sql, where: string, ...values: unknown[]): OperationRecord | null {
  const row = sql(`SELECT * FROM operations WHERE ${where} LIMIT 1`).get(...values);
  return row === undefined ? null : operationOf(sql, row);
}

/** The newest destroy of an instance, ended or not. */
export function readLastDestroy(sql: Sql, instance: InstanceId): OperationRecord | null {
  return readOperation(sql, "instance = ? AND kind = 'destroy' ORDER BY seq DESC", instance);
}

/** Functions of an instance, or all. */
export function readFunctions(sql: Sql, instance?: InstanceId): readonly FunctionRecord[] {
  const rows =
    instance === undefined
      ? sql('SELECT * FROM functions ORDER BY rowid').all()
      : sql('SELECT * FROM functions WHERE instance = ? ORDER BY rowid').all(instance);
  return (rows as FunctionRow[]).map(({ bdf_state, ...row }) => ({ ...row, bdfState: bdf_state }));
}

/** One function. */
export function readFunction(sql: Sql, id: FunctionId): FunctionRecord | null {
  const row = sql('SELECT * FROM functions WHERE id = ?').get(id) as FunctionRow | undefined;
  if (!row) return null;
  const { bdf_state, ...rest } = row;
  return { ...rest, bdfState: bdf_state };
}

function bindingOf(row: BindingRow): BindingRecord {
  return {
    functionId: row.function_id,
    instance: row.instance,
    kind: row.kind,
    key: row.key,
    phase: row.phase,
    madeForInstance: row.made_for_instance === 1,
    ips: JSON.parse(row.ips) as string[],
    boot: row.boot === 1,
    readOnly: row.read_only === 1,
    sizeBytes: row.size_bytes,
    bdev: row.bdev,
    connectionSecret: row.connection_secret,
    qos: fromJson<QosSpec>(row.qos),
  };
}

/** Bindings of an instance, or all. */
export function readBindings(sql: Sql, instance?: InstanceId): readonly BindingRecord[] {
  const rows =
    instance === undefined
      ? sql('SELECT * FROM bindings ORDER BY rowid').all()
      : sql('SELECT * FROM bindings WHERE instance = ? ORDER BY rowid').all(instance);
  return (rows as BindingRow[]).map(bindingOf);
}

/** The binding of a function. */
export function readBinding(sql: Sql, functionId: FunctionId): BindingRecord | null {
  const row = sql('SELECT * FROM bindings WHERE function_id = ?').get(functionId) as BindingRow | undefined;
  return row ? bindingOf(row) : null;
}

/** The port of a row of `ports`. */
export function portOf(value: unknown): NetworkPort {
  const row = value as PortRow;
  return {
    portId: row.id,
    subnet: row.subnet,
    mac: row.mac,
    ips: JSON.parse(row.ips) as string[],
    instance: row.instance,
    madeForInstance: row.made_for_instance === 1,
  };
}
