import { isEnded, type OperationRecord } from '../../core/operation/journal.ts';
import type { JsonObject } from '../../core/units.ts';
import type { Operation } from '../../schemas/generated/operation.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** An operation as the contract shows it. */
export function operationView(record: OperationRecord): Operation {
  return {
    id: record.id,
    kind: record.kind,
    instance: record.instance,
    state: record.state,
    progress: { done: record.steps.filter((step) => step.phase === 'done').length, total: record.steps.length },
    steps: record.steps.map((step) => ({
      name: step.name,
      phase: step.phase,
      started_at: step.startedAtMs === null ? null : iso(step.startedAtMs),
      ended_at: step.endedAtMs === null ? null : iso(step.endedAtMs),
      attempts: step.attempts,
      ...(step.error === null ? {} : { error: step.error }),
    })),
    result: isEnded(record.state) ? (record.result as JsonObject | null) : null,
    error: record.error,
    requested_by: record.requestedBy,
    request_id: record.requestId,
    created_at: iso(record.createdAtMs),
    updated_at: iso(record.updatedAtMs),
  };
}
