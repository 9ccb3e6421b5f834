import type { ErrorRecord } from '../errors.ts';
import type { OperationKind } from '../instance-state.ts';
import type { RecordChange } from '../records.ts';
import type { InstanceId, Json, JsonObject, OperationId } from '../units.ts';
import type { Plan, StepPhase, StepRecord } from './plan.ts';

/** Where an operation is. The last three are ends; `stuck` waits for an operator. */
export type OperationState = 'queued' | 'running' | 'unwinding' | 'stuck' | 'succeeded' | 'failed' | 'cancelled';

/** Whether an operation is over for good. */
export function isEnded(state: OperationState): state is 'succeeded' | 'failed' | 'cancelled' {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}

/** An operation as the journal has it. `Kind`: what it does; the engine takes no notice of it. */
export interface OperationRecord<Kind extends string = OperationKind> {
  readonly id: OperationId;
  readonly kind: Kind;
  /** Version of the plan; its steps run with the code of that version. */
  readonly planVersion: number;
  readonly instance: InstanceId;
  readonly state: OperationState;
  /** What was asked for, resolved and without secrets (`{"$secret": id}` stands for one). */
  readonly request: JsonObject;
  /** What the plan is made from; null until the operation left the queue. */
  readonly input: JsonObject | null;
  /** Instance state that it began in. */
  readonly stateBefore: string | null;
  readonly cancelRequested: boolean;
  /** Operation that must end first: the one that a destroy overtakes. */
  readonly waitsFor: OperationId | null;
  readonly steps: readonly StepRecord[];
  readonly result: Json;
  readonly error: ErrorRecord | null;
  readonly requestedBy: string;
  readonly requestId: string | null;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** One line of the journal. All entries of one `write` are one transaction. */
export type JournalEntry =
  /** Leaves the queue: the input is fixed and the steps are known, all `pending`. */
  | {
      readonly type: 'started';
      readonly operation: OperationId;
      readonly input: JsonObject;
      readonly steps: readonly string[];
    }
  | {
      readonly type: 'step';
      readonly operation: OperationId;
      readonly step: string;
      readonly phase: StepPhase;
      readonly attempts: number;
      readonly output?: Json;
      readonly error?: ErrorRecord | null;
    }
  /** A change of state; an end erases the secrets of the request. */
  | {
      readonly type: 'state';
      readonly operation: OperationId;
      readonly state: OperationState;
      readonly error?: ErrorRecord | null;
      readonly result?: Json;
    }
  | { readonly type: 'cancel-requested'; readonly operation: OperationId }
  | { readonly type: 'records'; readonly changes: readonly RecordChange[] };

/** The journal of operations. */
export interface OperationJournal {
  /** Ends when the entries are on the disk, all or none. Writes are applied in the order of the calls. */
  write(entries: readonly JournalEntry[]): Promise<void>;
  /** The clear text of a sealed part of a request. @throws DpuError `not_found`. */
  readSecret(id: string): Promise<string>;
}

/** What makes plans of operations: use cases and a compute driver together. */
export interface Planner<Kind extends string = OperationKind> {
  /** Facts as they are when the operation leaves the queue; journaled as its input. @throws DpuError: the operation fails. */
  prepare(operation: OperationRecord<Kind>, signal: AbortSignal): Promise<JsonObject>;
  /** The plan; depends on nothing but its arguments. @throws DpuError `unsupported` for a version nobody knows. */
  plan(operation: OperationRecord<Kind>, input: JsonObject): Plan;
  /** What the end means for the records, committed with it. */
  settle(
    operation: OperationRecord<Kind>,
    outcome: 'succeeded' | 'failed' | 'cancelled' | 'stuck',
    error: ErrorRecord | null,
  ): readonly RecordChange[];
}
