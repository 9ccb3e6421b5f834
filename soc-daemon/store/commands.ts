import type { ErrorCode } from '../../core/errors.ts';
import type { JournalEntry } from '../../core/operation/journal.ts';
import type { NetworkPort } from '../../core/ports/network-service.ts';
import type {
  AcceptRequest,
  AcceptResult,
  AllocationRequest,
  AuditRecord,
  CommitNotice,
  NodeIdentity,
} from '../../core/ports/node-store.ts';
import type { BindingRecord, FunctionRecord, InstanceRecord, RecordChange } from '../../core/records.ts';
import type { InstanceId, JsonObject, OperationId, PortId } from '../../core/units.ts';

/** A secret as it goes to the writer: sealed already. */
export interface SealedSecret {
  readonly id: string;
  readonly keepWith: AcceptRequest['secrets'][number]['keepWith'];
  readonly sealed: Uint8Array;
}

/** What can be written, each with what it answers. Data only: it goes to the writer's thread. */
export interface CommandTable {
  accept: {
    readonly args: { readonly request: Omit<AcceptRequest, 'secrets'>; readonly secrets: readonly SealedSecret[] };
    readonly answer: AcceptResult;
  };
  write: { readonly args: { readonly entries: readonly JournalEntry[] }; readonly answer: null };
  supersede: { readonly args: { readonly operation: OperationId }; readonly answer: null };
  change: { readonly args: { readonly changes: readonly RecordChange[] }; readonly answer: null };
  adopt: {
    readonly args: {
      readonly instance: InstanceRecord;
      readonly functions: readonly FunctionRecord[];
      readonly bindings: readonly BindingRecord[];
    };
    readonly answer: null;
  };
  'allocate-port': {
    /** `macStart`: where the search for a free MAC begins, 0 to 2^24 - 1. */
    readonly args: { readonly request: AllocationRequest; readonly macStart: number };
    readonly answer: NetworkPort;
  };
  'put-port': { readonly args: { readonly port: NetworkPort }; readonly answer: null };
  'release-port': { readonly args: { readonly port: PortId }; readonly answer: null };
  'cast-delivered': { readonly args: { readonly seq: number }; readonly answer: null };
  'report-all': { readonly args: object; readonly answer: null };
  'set-identity': { readonly args: { readonly identity: NodeIdentity }; readonly answer: null };
  'set-setting': { readonly args: { readonly name: string; readonly value: string | null }; readonly answer: null };
  'set-key-check': { readonly args: { readonly sealed: Uint8Array }; readonly answer: null };
  audit: { readonly args: { readonly line: Omit<AuditRecord, 'atMs'> }; readonly answer: null };
  prune: {
    readonly args: { readonly olderThanMs: number; readonly maxOperations: number };
    readonly answer: null;
  };
}

/** Name of a command. */
export type CommandType = keyof CommandTable;
/** A command of a type, or any. */
export type StoreCommand<Type extends CommandType = CommandType> = {
  [Each in Type]: { readonly type: Each } & CommandTable[Each]['args'];
}[Type];
/** What a command answers. */
export type CommandAnswer<Type extends CommandType> = CommandTable[Type]['answer'];

/** One batch: a command with its wall time, all or nothing. */
export interface Batch {
  readonly id: number;
  readonly atMs: number;
  readonly command: StoreCommand;
}

/** An error as data, so that it can cross threads. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field?: string;
  readonly details?: JsonObject;
}

/** What became of a batch. */
export type BatchResult =
  | { readonly id: number; readonly ok: true; readonly answer: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ErrorData };

/** What a committed group of batches did. */
export interface GroupResult {
  readonly results: readonly BatchResult[];
  readonly notice: CommitNotice;
}

/** What the batch under way touched; turned into generations, reports and erasures at its end. */
export interface Touched {
  readonly operations: Set<OperationId>;
  /** Operations that ended or got stuck. */
  readonly settled: Set<OperationId>;
  /** Operations that ended: the secrets kept with them go. */
  readonly ended: Set<OperationId>;
  /** Instances whose generation rises. */
  readonly changed: Set<InstanceId>;
  /** Instances that a report is due for. */
  readonly reported: Set<InstanceId>;
  /** Instances that were deleted: all their secrets go. */
  readonly deleted: Set<InstanceId>;
  casts: boolean;
}
