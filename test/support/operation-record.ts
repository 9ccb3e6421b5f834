import type { OperationRecord } from '../../core/operation/journal.ts';
import { asId, type InstanceId, type OperationId } from '../../core/units.ts';

/** The operation that `operationRecord` is, unless told otherwise. */
export const operationId = asId<OperationId>('00000000-0000-4000-8000-000000000001');

/** A build that was just queued, but for what is told. */
export function operationRecord(more: Partial<OperationRecord> = {}): OperationRecord {
  return {
    id: operationId,
    kind: 'build',
    planVersion: 1,
    instance: asId<InstanceId>('00000000-0000-4000-8000-0000000000aa'),
    state: 'queued',
    request: {},
    input: null,
    stateBefore: 'building',
    cancelRequested: false,
    waitsFor: null,
    steps: [],
    result: null,
    error: null,
    requestedBy: 'test',
    requestId: null,
    createdAtMs: 0,
    updatedAtMs: 0,
    ...more,
  };
}
