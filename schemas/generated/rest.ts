/** Generated from schemas/rest.json by `npm run schemas`. Do not edit. */

export type Steps = OperationStep[];
export type Interfaces = InstanceInterface[];
export type Volumes = InstanceVolume[];
/**
 * `data` of a server-sent event; `event` says which: operation, instance, node, or reset (events were missed: read anew).
 */
export type EventData = Operation | Instance | NodeStatus | {};

/**
 * Bodies of the REST interface that are not messages of the RPC too.
 */
export interface RestBodies {
  problem?: Problem;
  function_list?: FunctionList;
  binding_list?: BindingList;
  audit_list?: AuditList;
  platform_request_list?: PlatformRequestList;
  interface_list?: InterfaceList;
  volume_list?: VolumeList;
  maintenance?: Maintenance;
  maintenance_request?: MaintenanceRequest;
  health?: Health;
  readiness?: Readiness;
  health_report?: HealthReport;
  diagnostics?: Diagnostics;
  power?: HostPower;
  membership?: Membership;
  membership_request?: MembershipRequest;
  identity?: NodeIdentityFile;
  bios?: BiosReport;
  event?: EventData;
  openapi?: OpenApiDocument;
  dashboard_request?: DashboardRequest;
  dashboard_access?: DashboardAccess;
}
/**
 * RFC 9457 problem details. `code` is stable: branch on it, never on the text.
 */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  /**
   * The codes of core/errors.ts.
   */
  code:
    | 'invalid'
    | 'not_found'
    | 'conflict'
    | 'busy'
    | 'exhausted'
    | 'unsupported'
    | 'bad_state'
    | 'unavailable'
    | 'timeout'
    | 'denied'
    | 'hardware'
    | 'internal';
  /**
   * The argument, parameter or header that is wrong.
   */
  field?: string;
  /**
   * Facts for programs.
   */
  details?: {};
}
/**
 * All functions of the card.
 */
export interface FunctionList {
  functions: FunctionView[];
}
/**
 * A PCIe function of the card.
 */
export interface FunctionView {
  id: string;
  instance: string | null;
  type: string;
  class: string;
  mac: string | null;
  bdf: string | null;
  bdf_state: string;
  representor: string | null;
  plugged: boolean;
  phase: string;
  owner: 'ours' | 'foreign';
}
/**
 * All bindings.
 */
export interface BindingList {
  bindings: BindingView[];
}
/**
 * Function - representor - port, or function - bdev - volume.
 */
export interface BindingView {
  function_id: string;
  instance: string;
  kind: 'port' | 'volume';
  port_id: string | null;
  volume_id: string | null;
  representor: string | null;
  bdev: string | null;
  mac: string | null;
  phase: string;
}
/**
 * The newest lines of the audit log, newest first.
 */
export interface AuditList {
  audit: AuditEntry[];
}
/**
 * A line of the audit log.
 */
export interface AuditEntry {
  /**
   * RFC 3339, UTC
   */
  at: string;
  by: string;
  action: string;
  instance: string | null;
  operation: string | null;
}
/**
 * What the platform asked for and the node works on, newest first.
 */
export interface PlatformRequestList {
  requests: PlatformRequest[];
}
/**
 * A request of a platform that keeps its own journal: nova's. What it does to the instance is an operation.
 */
export interface PlatformRequest {
  id: string;
  method: string;
  instance: string;
  state: 'queued' | 'running' | 'unwinding' | 'succeeded' | 'failed' | 'cancelled' | 'stuck';
  steps: Steps;
  error: Failure | null;
  /**
   * Of a request that has ended: steps that could not be taken back, and why. Whatever they made may be there still.
   */
  left?: string[];
  request_id: string | null;
  /**
   * RFC 3339, UTC
   */
  created_at: string;
  /**
   * RFC 3339, UTC
   */
  updated_at: string;
}
export interface OperationStep {
  name: string;
  phase: 'pending' | 'doing' | 'done' | 'undoing' | 'undone';
  started_at: string | null;
  ended_at: string | null;
  attempts: number;
  error?: Failure;
}
/**
 * Why an operation or a step failed.
 */
export interface Failure {
  /**
   * The codes of core/errors.ts.
   */
  code:
    | 'invalid'
    | 'not_found'
    | 'conflict'
    | 'busy'
    | 'exhausted'
    | 'unsupported'
    | 'bad_state'
    | 'unavailable'
    | 'timeout'
    | 'denied'
    | 'hardware'
    | 'internal';
  message: string;
  field?: string;
  step?: string;
  retry: 'never' | 'backoff' | 'operator';
}
/**
 * The NICs of an instance.
 */
export interface InterfaceList {
  interfaces: Interfaces;
}
export interface InstanceInterface {
  /**
   * An id that another service chose: a volume's, a port's.
   */
  port_id: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  function_id: string;
  mac: string | null;
  bdf: string | null;
  bdf_state: 'assigned' | 'pending' | 'unknown' | 'changed';
  representor: string | null;
  ips: string[];
  qos: {} | null;
}
/**
 * The disks of an instance.
 */
export interface VolumeList {
  volumes: Volumes;
}
export interface InstanceVolume {
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  function_id: string;
  bdf: string | null;
  bdf_state: 'assigned' | 'pending' | 'unknown' | 'changed';
  boot: boolean;
  size_bytes: number | null;
  read_only: boolean;
}
/**
 * Whether new instances are refused; what is there goes on.
 */
export interface Maintenance {
  enabled: boolean;
  reason: string | null;
}
/**
 * Switches maintenance on or off.
 */
export interface MaintenanceRequest {
  enabled: boolean;
  reason?: string | null;
}
/**
 * The process answers.
 */
export interface Health {
  status: 'ok';
}
/**
 * Whether instances may be scheduled here, and if not, why.
 */
export interface Readiness {
  ready: boolean;
  reasons: ReadinessReason[];
}
/**
 * One reason; its id is stable.
 */
export interface ReadinessReason {
  id: string;
  message: string;
  /**
   * RFC 3339, UTC
   */
  since: string;
}
/**
 * What the node looked at, and what it found.
 */
export interface HealthReport {
  ready: boolean;
  checks: HealthCheck[];
}
/**
 * One thing that is looked at; its id is stable.
 */
export interface HealthCheck {
  id: string;
  state: 'ok' | 'warn' | 'fail' | 'unknown';
  reason: string | null;
  found: string;
  todo: string | null;
  since: string | null;
}
/**
 * What an instance's machine used since it was started; of VM nodes.
 */
export interface Diagnostics {
  state: 'running' | 'paused' | 'off' | 'suspended';
  /**
   * seconds
   */
  uptime_s: number;
  vcpus: number;
  /**
   * milliseconds, of all its CPUs together
   */
  cpu_time_ms: number;
  memory_mib: number;
  disks: DiskDiagnostics[];
  nics: NicDiagnostics[];
}
/**
 * Counters of a disk.
 */
export interface DiskDiagnostics {
  volume_id: string | null;
  read_bytes: number;
  read_requests: number;
  written_bytes: number;
  write_requests: number;
}
/**
 * Counters of a NIC, as the instance sees it.
 */
export interface NicDiagnostics {
  port_id: string | null;
  mac: string | null;
  received_bytes: number;
  received_packets: number;
  sent_bytes: number;
  sent_packets: number;
}
/**
 * The host's power: how it is, whose it is, and who works on it now.
 */
export interface HostPower {
  state: 'on' | 'off' | 'unknown';
  instance: string | null;
  operation: string | null;
  owner: PowerOwner | null;
}
export interface PowerOwner {
  reason: string;
  /**
   * RFC 3339, UTC
   */
  since: string;
}
/**
 * Whether the node belongs to its platform.
 */
export interface Membership {
  member: boolean;
  since: string | null;
  reason: string | null;
}
/**
 * Leaves the platform, or joins it again.
 */
export interface MembershipRequest {
  member: boolean;
  reason?: string | null;
  /**
   * Leaves although there are instances; they stay as they are.
   */
  force?: boolean;
}
/**
 * Who the node is, for a SoC that is reflashed.
 */
export interface NodeIdentityFile {
  version: 1;
  uuid: string;
  hostname: string;
  host_nqn: string | null;
  initiator_iqn: string | null;
  bios_baseline: {
    settings: {
      [k: string]: string | number | boolean;
    };
    at: string | null;
  } | null;
  /**
   * Only in a file, and where asked for.
   */
  store_key?: string;
  /**
   * RFC 3339, UTC
   */
  exported_at: string;
}
/**
 * The host's BIOS settings against the baseline.
 */
export interface BiosReport {
  /**
   * False: the BMC does not let them be read.
   */
  controlled: boolean;
  baseline: 'none' | 'captured' | 'configured';
  captured_at: string | null;
  /**
   * How many the baseline has.
   */
  settings: number;
  differing: BiosDifference[];
  unsafe: BiosHazard[];
}
export interface BiosDifference {
  name: string;
  baseline: string | number | boolean;
  now: string | number | boolean;
  /**
   * After the next reset.
   */
  next: string | number | boolean;
}
export interface BiosHazard {
  name: string;
  next: string | number | boolean;
  allowed: (string | number | boolean)[];
  why: string;
}
/**
 * A change to an instance: a plan of steps, done or undone.
 */
export interface Operation {
  id: string;
  kind:
    | 'build'
    | 'destroy'
    | 'start'
    | 'stop'
    | 'reboot'
    | 'attach_interface'
    | 'detach_interface'
    | 'attach_volume'
    | 'detach_volume'
    | 'pause'
    | 'unpause'
    | 'suspend'
    | 'resume'
    | 'rebuild'
    | 'rescue'
    | 'unrescue'
    | 'resize'
    | 'create_snapshot'
    | 'resize_volume'
    | 'reset_admin_password'
    | 'set_interface_qos'
    | 'prepare_migration'
    | 'finish_migration'
    | 'abort_migration';
  instance: string;
  state: 'queued' | 'running' | 'unwinding' | 'succeeded' | 'failed' | 'cancelled' | 'stuck';
  progress: {
    done: number;
    total: number;
  };
  steps: Steps;
  result: {} | null;
  error: Failure | null;
  requested_by: string;
  request_id: string | null;
  /**
   * RFC 3339, UTC
   */
  created_at: string;
  /**
   * RFC 3339, UTC
   */
  updated_at: string;
}
export interface Instance {
  uuid: string;
  name: string;
  /**
   * What a scheduler needs.
   */
  status: 'up' | 'down' | 'error';
  state:
    | 'building'
    | 'active'
    | 'stopped'
    | 'paused'
    | 'suspended'
    | 'rescued'
    | 'error'
    | 'deleting'
    | 'migrating'
    | 'deleted';
  task: InstanceTask | null;
  flavor: Flavor;
  interfaces: Interfaces;
  volumes: Volumes;
  todo: InstanceTodo | null;
  generation: number;
}
export interface InstanceTask {
  operation: string;
  kind:
    | 'build'
    | 'destroy'
    | 'start'
    | 'stop'
    | 'reboot'
    | 'attach_interface'
    | 'detach_interface'
    | 'attach_volume'
    | 'detach_volume'
    | 'pause'
    | 'unpause'
    | 'suspend'
    | 'resume'
    | 'rebuild'
    | 'rescue'
    | 'unrescue'
    | 'resize'
    | 'create_snapshot'
    | 'resize_volume'
    | 'reset_admin_password'
    | 'set_interface_qos'
    | 'prepare_migration'
    | 'finish_migration'
    | 'abort_migration';
  step: string | null;
}
export interface Flavor {
  name: string;
  vcpus: number;
  memory_mib: number;
}
/**
 * The last error that somebody has to look at.
 */
export interface InstanceTodo {
  /**
   * The codes of core/errors.ts.
   */
  code:
    | 'invalid'
    | 'not_found'
    | 'conflict'
    | 'busy'
    | 'exhausted'
    | 'unsupported'
    | 'bad_state'
    | 'unavailable'
    | 'timeout'
    | 'denied'
    | 'hardware'
    | 'internal';
  message: string;
  operation: string | null;
}
export interface NodeStatus {
  hostname: string;
  uuid: string;
  ready: boolean;
  not_ready_reasons: NotReadyReason[];
  /**
   * What does not keep instances away and should be looked at.
   */
  warnings?: NodeWarning[];
  node_type: 'BM' | 'VM';
  DPU_model: string;
  /**
   * CPUs
   */
  total_cpu: number;
  used_cpu: number;
  /**
   * MiB
   */
  total_mem: number;
  /**
   * MiB
   */
  used_mem: number;
  serial_number: string | null;
  host_power: 'on' | 'off' | 'unknown';
  generation: number;
  /**
   * RFC 3339, UTC
   */
  reported_at: string;
  instances: Instance[];
}
export interface NotReadyReason {
  id: string;
  message: string;
  /**
   * RFC 3339, UTC
   */
  since: string;
}
export interface NodeWarning {
  id: string;
  message: string;
  /**
   * RFC 3339, UTC
   */
  since: string;
}
/**
 * OpenAPI 3.1.
 */
export interface OpenApiDocument {}
/**
 * What the browser may do.
 */
export interface DashboardRequest {
  /**
   * It may look, and change nothing.
   */
  read_only?: boolean;
}
/**
 * An address that lets one browser in, once.
 */
export interface DashboardAccess {
  url: string;
  /**
   * RFC 3339, UTC
   */
  expires_at: string;
}
