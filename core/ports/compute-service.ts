import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type {
  BiosReport,
  Diagnostics,
  HealthReport,
  HostPower,
  Membership,
  MembershipRequest,
  NodeIdentityFile,
} from '../../schemas/generated/rest.ts';
import type { RpcMethods } from '../../schemas/generated/rpc.ts';

/** Who asks, for the audit log: `amqp`, `rest:admin`. */
export interface Caller {
  readonly by: string;
}

/** Arguments of an RPC method. */
export type Args<Method extends keyof RpcMethods> = RpcMethods[Method]['args'];

/** Methods that change something and answer an operation. */
export type MutatingMethod =
  | 'build_and_run_instance'
  | 'destroy_instance'
  | 'start_instance'
  | 'stop_instance'
  | 'reboot_instance'
  | 'pause_vm'
  | 'unpause_vm'
  | 'suspend_instance'
  | 'resume_instance'
  | 'resize_vm'
  | 'rebuild_instance'
  | 'rescue_instance'
  | 'unrescue_instance'
  | 'attach_interface'
  | 'detach_interface'
  | 'attach_volume'
  | 'detach_volume'
  | 'create_snapshot'
  | 'resize_volume'
  | 'reset_instance_admin_password'
  | 'set_interface_qos'
  | 'prepare_migration'
  | 'finish_migration'
  | 'abort_migration';

/** Something that others may watch. `id` rises; it starts anew with the process. */
export interface ServiceEvent {
  readonly id: number;
  readonly at: string;
  readonly type: 'operation' | 'instance' | 'node';
  /** The object as it is when this is first asked for: look while the event is told. */
  readonly data: Operation | Instance | NodeStatus;
}

/** A function or binding as REST and the CLI show it. */
export interface FunctionView {
  readonly id: string;
  readonly instance: string | null;
  readonly type: string;
  readonly class: string;
  readonly mac: string | null;
  readonly bdf: string | null;
  readonly bdf_state: string;
  readonly representor: string | null;
  readonly plugged: boolean;
  readonly phase: string;
  /** `ours`, or `foreign`: on the card, not made by us. */
  readonly owner: 'ours' | 'foreign';
}

/** Function - representor - port, or function - bdev - volume. */
export interface BindingView {
  readonly function_id: string;
  readonly instance: string;
  readonly kind: 'port' | 'volume';
  readonly port_id: string | null;
  readonly volume_id: string | null;
  readonly representor: string | null;
  readonly bdev: string | null;
  readonly mac: string | null;
  readonly phase: string;
}

/** A line of the audit log. */
export interface AuditView {
  readonly at: string;
  readonly by: string;
  readonly action: string;
  readonly instance: string | null;
  readonly operation: string | null;
}

/**
 * The use cases: what every platform adapter and the REST API drive. Arguments are checked against their schema and
 * normalised before they come here. All reject with DpuError.
 */
export interface ComputeService {
  /**
   * Accepts a change: journaled when the promise resolves. The same request again (by uuid for build and destroy, by
   * `request_id` otherwise) answers the first one's operation.
   * @throws `conflict` (same key, other arguments; another operation runs; node busy), `not_found`, `bad_state`,
   * `unsupported`, `invalid`, `exhausted`, `unavailable`.
   */
  submit<Method extends MutatingMethod>(method: Method, args: Args<Method>, caller: Caller): Promise<Operation>;
  /** Ends when the operation has ended or is stuck. @throws `not_found`; the signal's reason. */
  waitForEnd(operation: string, signal?: AbortSignal): Promise<Operation>;
  nodeStatus(): NodeStatus;
  /** What the node looked at, what was found, and what to do. */
  health(): HealthReport;
  /** The host's power: how it is, whose it is, and who works on it now. */
  power(): HostPower;
  /** The host's BIOS settings against the baseline. @throws what the BMC rejects with. */
  bios(): Promise<BiosReport>;
  /** Who the node is, for a file that a reflashed SoC is given. Without the store's key. */
  identity(): NodeIdentityFile;
  /** Makes the settings of now the baseline. @throws `bad_state` while an instance has the host, `unsupported`. */
  captureBios(caller: Caller): Promise<BiosReport>;
  /** Sets back what differs, from the host's next start on. @throws as `captureBios`. */
  restoreBios(caller: Caller): Promise<BiosReport>;
  listInstances(args: Args<'list_instances'>): { instances: Instance[]; next?: string };
  /** @throws `not_found`. */
  getInstance(uuid: string): Instance;
  listOperations(args: Args<'list_operations'>): { operations: Operation[]; next?: string };
  /** @throws `not_found`. */
  getOperation(id: string): Operation;
  /** Undoes it. @throws `not_found`, `bad_state` (ended, or past its pivot). */
  cancelOperation(id: string, caller: Caller): Promise<Operation>;
  /** Goes on with a stuck one. @throws `not_found`, `bad_state` (not stuck). */
  retryOperation(id: string, caller: Caller): Promise<Operation>;
  /** @throws `unsupported`, `not_found`. */
  getConsole(args: Args<'get_instance_console'>): Promise<RpcMethods['get_instance_console']['answer']>;
  /** The last of what the instance's serial console showed, at most so many bytes. @throws `unsupported`, `not_found`. */
  consoleLog(uuid: string, bytes: number): Promise<Buffer>;
  /** What the instance's machine used. @throws `unsupported` (bare metal), `not_found`, `unavailable`. */
  diagnostics(uuid: string): Promise<Diagnostics>;
  listFunctions(): FunctionView[];
  listBindings(): BindingView[];
  listAudit(limit: number): AuditView[];
  /** Whether the node belongs to its platform. */
  membership(): Membership;
  /** Leaves the platform after a last report, over restarts too, or joins it again. @throws `bad_state` (instances, operations). */
  setMembership(wanted: MembershipRequest, caller: Caller): Promise<Membership>;
  /** Whether new instances are refused. */
  maintenance(): { enabled: boolean; reason: string | null };
  /** New instances are refused while it is on; what is there goes on. */
  setMaintenance(enabled: boolean, reason: string | null, caller: Caller): Promise<void>;
  /**
   * Calls back on events until the answer is called. With `since`, on every one, and those newer than it are given first where still held; without, while nobody
   * else follows so, steps of operations are left out.
   */
  subscribe(listener: (event: ServiceEvent) => void, since?: number): () => void;
}
