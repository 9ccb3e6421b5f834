import type { Instance } from '../../schemas/generated/instance.ts';
import type { InstanceState, OperationKind } from '../instance-state.ts';
import type { OperationJournal, OperationRecord, OperationState } from '../operation/journal.ts';
import type { BindingRecord, FunctionRecord, InstanceRecord, RecordChange } from '../records.ts';
import type { InstanceId, JsonObject, Mac, NodeId, OperationId, PortId } from '../units.ts';
import type { NetworkPort } from './network-service.ts';

/** Who the node is; fixed at first start. */
export interface NodeIdentity {
  readonly uuid: NodeId;
  readonly hostname: string;
}

/** Part of a request that is stored sealed. */
export interface SecretPart {
  readonly id: string;
  /** Clear text; sealed by the store before it is written. */
  readonly text: string;
  /** When it is erased: with the end of the operation, of the instance, or of the function's binding. */
  readonly keepWith: 'operation' | 'instance' | { readonly functionId: string };
}

/** A change to accept. Checked and written in one transaction, so that of two requests at once one wins. */
export interface AcceptRequest {
  readonly operation: Pick<
    OperationRecord,
    'id' | 'kind' | 'planVersion' | 'instance' | 'request' | 'requestedBy' | 'requestId'
  >;
  /** What makes a repeat the same request: `build:<uuid>`, `destroy:<uuid>`, `request:<id>`; null: none. */
  readonly key: string | null;
  /** Argument -> HMAC of its value: tells a repeat from another request, and names the difference. */
  readonly fingerprint: Readonly<Record<string, string>>;
  /** build: the record to make. Others: null, and the instance must be there. */
  readonly newInstance: Omit<InstanceRecord, 'generation' | 'todo' | 'state'> | null;
  /** build on a BM node: refuse while another instance has the host. */
  readonly claimsHost: boolean;
  /** Build and resize on a VM node: refuse what does not fit beside the other instances, of what the host has (0: nobody knows). */
  readonly share?: {
    readonly vcpus: number;
    readonly memoryMib: number;
    readonly of: { readonly vcpus: number; readonly memoryMib: number };
  } | null;
  readonly secrets: readonly SecretPart[];
}

/** What became of it. */
export type AcceptResult =
  | { readonly outcome: 'accepted'; readonly operation: OperationRecord }
  /** The key was there with the same arguments. */
  | { readonly outcome: 'same'; readonly operation: OperationRecord }
  /** The key was there with others; `fields` names them. */
  | { readonly outcome: 'differs'; readonly operation: OperationRecord; readonly fields: readonly string[] }
  /** Another operation of the instance has not ended. */
  | { readonly outcome: 'operation-runs'; readonly operation: OperationRecord }
  | { readonly outcome: 'host-claimed'; readonly instance: InstanceId }
  /** The share that it wants is not free. */
  | {
      readonly outcome: 'exhausted';
      readonly what: 'vcpus' | 'memoryMib';
      readonly wanted: number;
      readonly free: number;
      readonly total: number;
    }
  | { readonly outcome: 'no-instance' }
  /** The state table does not allow it. */
  | { readonly outcome: 'bad-state'; readonly state: InstanceState };

/** An address to give out of a subnet. */
export interface AllocationRequest {
  readonly portId: PortId;
  readonly subnet: string;
  readonly instance: InstanceId;
  /** Asked for; null: made from the prefix. */
  readonly mac: Mac | null;
  /** `fa:16:3e`: the first three bytes of MACs that we make. */
  readonly macPrefix: string;
  /** IPv4 addresses that may be given, as numbers, both ends included. */
  readonly first: number;
  readonly last: number;
  readonly except: readonly number[];
}

/** A message to the platform that must arrive. */
export interface OutboxCast {
  readonly seq: number;
  readonly method: string;
  readonly args: JsonObject;
  /** Casts of one instance keep their order. */
  readonly instance: InstanceId | null;
}

/** What a commit changed; told after it is on the disk. */
export interface CommitNotice {
  readonly operations: readonly OperationId[];
  /** Those of them that have ended, or are stuck. */
  readonly settled: readonly OperationId[];
  readonly instances: readonly InstanceId[];
  readonly casts: boolean;
}

/** A page of a listing; `cursor` is what the page before answered as `next`. */
export interface Page {
  readonly limit: number;
  readonly cursor: string | null;
}

/** A line of the audit log. */
export interface AuditRecord {
  readonly atMs: number;
  readonly by: string;
  readonly action: string;
  readonly instance: InstanceId | null;
  readonly operation: OperationId | null;
}

/**
 * The daemon's store. Writes are asynchronous, grouped, durable when they resolve and applied in the order of the
 * calls; a slow disk never stalls the event loop. Reads are synchronous and see every write that has resolved.
 */
export interface NodeStore extends OperationJournal {
  /**
   * Accepts an operation as `queued`. destroy: takes no notice of `operation-runs`, but asks the operation that runs to
   * cancel and waits for it (`waitsFor`); a destroy that is there already answers `same`. The instance's state becomes
   * the table's `during`, an audit line is written, a report goes into the outbox.
   */
  accept(request: AcceptRequest): Promise<AcceptResult>;
  /** Ends a stuck operation that a destroy overtakes as `failed`, keeping its error. */
  supersede(operation: OperationId): Promise<void>;
  /** Changes outside of an operation (reconcile, observations), with a report for each instance they touch. */
  change(changes: readonly RecordChange[]): Promise<void>;
  /** Readoption: an instance that peers carry the marks of and the store does not know. */
  adopt(
    instance: InstanceRecord,
    functions: readonly FunctionRecord[],
    bindings: readonly BindingRecord[],
  ): Promise<void>;

  getInstance(id: InstanceId): InstanceRecord | null;
  /** The instance as the contract shows it: with its task, interfaces and volumes. */
  instanceView(id: InstanceId): Instance | null;
  /** Oldest first; `deleted` ones only when asked for by state. `next` is null at the end. */
  listInstances(state: InstanceState | null, page: Page): { instances: readonly Instance[]; next: string | null };
  /** Not deleted ones. */
  liveInstances(): readonly InstanceRecord[];
  getOperation(id: OperationId): OperationRecord | null;
  /** Newest first. */
  listOperations(
    filter: { readonly instance?: InstanceId; readonly state?: OperationState; readonly kind?: OperationKind },
    page: Page,
  ): { operations: readonly OperationRecord[]; next: string | null };
  /** The operation that a request with this key made; the newest where there are several. */
  operationByKey(key: string): OperationRecord | null;
  /** Queued, running, unwinding and stuck ones, oldest first. */
  unendedOperations(): readonly OperationRecord[];
  /** The last destroy of an instance. */
  lastDestroy(instance: InstanceId): OperationRecord | null;
  functions(instance?: InstanceId): readonly FunctionRecord[];
  bindings(instance?: InstanceId): readonly BindingRecord[];

  /** Gives out an address, or answers the one given before. @throws `exhausted`, `conflict` (MAC in use, port of another instance). */
  allocatePort(request: AllocationRequest): Promise<NetworkPort>;
  releasePort(port: PortId): Promise<void>;
  /** Takes in a port as it is (readoption); one that is there already is kept. */
  putPort(port: NetworkPort): Promise<void>;
  ports(): readonly NetworkPort[];

  /** Casts not yet delivered, oldest first. */
  casts(limit: number): readonly OutboxCast[];
  castDelivered(seq: number): Promise<void>;
  /**
   * Puts the present state of every live instance, and of those that were destroyed last, into the outbox: after a
   * reconnect a broker's queues may be gone, with reports in them that it had confirmed.
   */
  reportAllInstances(): Promise<void>;

  identity(): NodeIdentity | null;
  /** @throws `conflict` when there is another. */
  setIdentity(identity: NodeIdentity): Promise<void>;
  setting(name: string): string | null;
  setSetting(name: string, value: string | null): Promise<void>;
  audit(line: Omit<AuditRecord, 'atMs'>): Promise<void>;
  listAudit(limit: number): readonly AuditRecord[];

  /** HMAC by the store's key of the canonical JSON of a value: compares requests without keeping them. */
  hmac(value: unknown): string;
  onCommit(listener: (notice: CommitNotice) => void): () => void;
  /** Removes ended operations, deleted instances and audit lines by age and number; never an unended one. */
  prune(limits: { readonly olderThanMs: number; readonly maxOperations: number }): Promise<void>;
  /** Writes what is pending and closes. */
  close(): Promise<void>;
}
