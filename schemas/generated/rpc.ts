/** Generated from schemas/rpc.json by `npm run schemas`. Do not edit. */

/**
 * A NIC: on a subnet (a port is made), or on an existing port.
 */
export type NetworkRequest = {
  [k: string]: unknown;
} & {
  subnet?: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  port_id?: string;
  /**
   * A MAC as people write it; answered in lower case with colons.
   */
  mac?: string;
  type?: 'PF' | 'VF';
  class?: 'virtio-net';
};
/**
 * A NIC: on a subnet (a port is made), or on an existing port.
 */
export type NetworkRequest1 = {
  [k: string]: unknown;
} & {
  subnet?: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  port_id?: string;
  /**
   * A MAC as people write it; answered in lower case with colons.
   */
  mac?: string;
  type?: 'PF' | 'VF';
  class?: 'virtio-net';
};

/**
 * Every method of the platform RPC (version 1.0): its arguments and its answer.
 */
export interface RpcMethods {
  report_node_status: ReportNodeStatus;
  build_and_run_instance: BuildAndRunInstance;
  destroy_instance: DestroyInstance;
  start_instance: StartInstance;
  stop_instance: StopInstance;
  reboot_instance: RebootInstance;
  pause_vm: PauseVm;
  unpause_vm: UnpauseVm;
  suspend_instance: SuspendInstance;
  resume_instance: ResumeInstance;
  resize_vm: ResizeVm;
  rebuild_instance: RebuildInstance;
  rescue_instance: RescueInstance;
  unrescue_instance: UnrescueInstance;
  attach_interface: AttachInterface;
  detach_interface: DetachInterface;
  attach_volume: AttachVolume;
  detach_volume: DetachVolume;
  create_snapshot: CreateSnapshot;
  resize_volume: ResizeVolume;
  get_instance_console: GetInstanceConsole;
  reset_instance_admin_password: ResetInstanceAdminPassword;
  set_interface_qos: SetInterfaceQos;
  prepare_migration: PrepareMigration;
  finish_migration: FinishMigration;
  abort_migration: AbortMigration;
  list_instances: ListInstances;
  get_instance: GetInstance;
  list_operations: ListOperations;
  get_operation: GetOperation;
  cancel_operation: CancelOperation;
  retry_operation: RetryOperation;
}
/**
 * The node as it is now.
 */
export interface ReportNodeStatus {
  args: ReportNodeStatusArgs;
  answer: NodeStatus;
}
export interface ReportNodeStatusArgs {}
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
  interfaces: InstanceInterface[];
  volumes: InstanceVolume[];
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
/**
 * Makes an instance and starts it. Keyed by its uuid.
 */
export interface BuildAndRunInstance {
  args: BuildAndRunInstanceArgs;
  answer: BuildAndRunInstanceAnswer;
}
export interface BuildAndRunInstanceArgs {
  uuid?: string;
  name: string;
  image?: string;
  /**
   * cloud-init user data, or {user_data, admin_pass}.
   */
  userdata?:
    | string
    | {
        user_data?: string;
        admin_pass?: string;
      };
  /**
   * A name of the catalogue, NcMg ("4c8g": 4 CPUs, 8 GiB), or the sizes themselves.
   */
  flavor:
    | string
    | {
        name?: string;
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
  /**
   * @maxItems 64
   */
  networks?: NetworkRequest[];
  /**
   * @maxItems 64
   */
  volumes?: VolumeRequest[];
  metadata?: {
    [k: string]: string;
  };
  /**
   * A read-only disk that tells the instance of itself, in OpenStack's form (`config-2`, or true) or NoCloud's. Default: as the node is configured.
   */
  config_drive?: boolean | ('config-2' | 'cidata');
  /**
   * @maxItems 64
   */
  ssh_keys?: string[];
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface VolumeRequest {
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  bootable?: boolean;
  read_only?: boolean;
  connection_info?: {};
}
export interface BuildAndRunInstanceAnswer {
  operation: Operation;
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
  steps: OperationStep[];
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
 * Takes an instance away; overtakes any other operation. Keyed by its uuid.
 */
export interface DestroyInstance {
  args: DestroyInstanceArgs;
  answer: DestroyInstanceAnswer;
}
export interface DestroyInstanceArgs {
  uuid: string;
  /**
   * What becomes of the data of local volumes that go with it. Default: as the node is configured.
   */
  wipe?: 'none' | 'discard' | 'zero';
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface DestroyInstanceAnswer {
  operation: Operation;
}
/**
 * Powers it on.
 */
export interface StartInstance {
  args: StartInstanceArgs;
  answer: StartInstanceAnswer;
}
export interface StartInstanceArgs {
  uuid: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface StartInstanceAnswer {
  operation: Operation;
}
/**
 * Powers it off; hard after the timeout.
 */
export interface StopInstance {
  args: StopInstanceArgs;
  answer: StopInstanceAnswer;
}
export interface StopInstanceArgs {
  uuid: string;
  /**
   * seconds before a hard stop
   */
  timeout?: number;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface StopInstanceAnswer {
  operation: Operation;
}
/**
 * Off and on again.
 */
export interface RebootInstance {
  args: RebootInstanceArgs;
  answer: RebootInstanceAnswer;
}
export interface RebootInstanceArgs {
  uuid: string;
  type: 'hard' | 'soft';
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface RebootInstanceAnswer {
  operation: Operation;
}
/**
 * VM only.
 */
export interface PauseVm {
  args: PauseVmArgs;
  answer: PauseVmAnswer;
}
export interface PauseVmArgs {
  uuid: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface PauseVmAnswer {
  operation: Operation;
}
/**
 * VM only.
 */
export interface UnpauseVm {
  args: UnpauseVmArgs;
  answer: UnpauseVmAnswer;
}
export interface UnpauseVmArgs {
  uuid: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface UnpauseVmAnswer {
  operation: Operation;
}
/**
 * VM only: its memory goes to the disk.
 */
export interface SuspendInstance {
  args: SuspendInstanceArgs;
  answer: SuspendInstanceAnswer;
}
export interface SuspendInstanceArgs {
  uuid: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface SuspendInstanceAnswer {
  operation: Operation;
}
/**
 * VM only: goes on where it was suspended.
 */
export interface ResumeInstance {
  args: ResumeInstanceArgs;
  answer: ResumeInstanceAnswer;
}
export interface ResumeInstanceArgs {
  uuid: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface ResumeInstanceAnswer {
  operation: Operation;
}
/**
 * VM only.
 */
export interface ResizeVm {
  args: ResizeVmArgs;
  answer: ResizeVmAnswer;
}
export interface ResizeVmArgs {
  uuid: string;
  /**
   * A name of the catalogue, NcMg ("4c8g": 4 CPUs, 8 GiB), or the sizes themselves.
   */
  new_flavor:
    | string
    | {
        name?: string;
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface ResizeVmAnswer {
  operation: Operation;
}
/**
 * Makes the boot disk anew from an image, its own unless told; ports and data disks stay.
 */
export interface RebuildInstance {
  args: RebuildInstanceArgs;
  answer: RebuildInstanceAnswer;
}
export interface RebuildInstanceArgs {
  uuid: string;
  image?: string;
  /**
   * cloud-init user data, or {user_data, admin_pass}.
   */
  userdata?:
    | string
    | {
        user_data?: string;
        admin_pass?: string;
      };
  /**
   * @maxItems 64
   */
  ssh_keys?: string[];
  metadata?: {
    [k: string]: string;
  };
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface RebuildInstanceAnswer {
  operation: Operation;
}
/**
 * Starts it from a rescue image; its boot disk is a data disk meanwhile.
 */
export interface RescueInstance {
  args: RescueInstanceArgs;
  answer: RescueInstanceAnswer;
}
export interface RescueInstanceArgs {
  uuid: string;
  image?: string;
  volume?: RescueVolume;
  admin_pass?: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
/**
 * Instead of an image: a volume with its content, which is whoever asks' own.
 */
export interface RescueVolume {
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  connection_info?: {};
}
export interface RescueInstanceAnswer {
  operation: Operation;
}
/**
 * Starts it from its own boot disk again; the rescue disk goes.
 */
export interface UnrescueInstance {
  args: UnrescueInstanceArgs;
  answer: UnrescueInstanceAnswer;
}
export interface UnrescueInstanceArgs {
  uuid: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface UnrescueInstanceAnswer {
  operation: Operation;
}
/**
 * Adds a NIC.
 */
export interface AttachInterface {
  args: AttachInterfaceArgs;
  answer: AttachInterfaceAnswer;
}
export interface AttachInterfaceArgs {
  uuid: string;
  network: NetworkRequest1;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface AttachInterfaceAnswer {
  operation: Operation;
}
/**
 * Takes a NIC away.
 */
export interface DetachInterface {
  args: DetachInterfaceArgs;
  answer: DetachInterfaceAnswer;
}
export interface DetachInterfaceArgs {
  uuid: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  port_id: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface DetachInterfaceAnswer {
  operation: Operation;
}
/**
 * Adds a disk.
 */
export interface AttachVolume {
  args: AttachVolumeArgs;
  answer: AttachVolumeAnswer;
}
export interface AttachVolumeArgs {
  uuid: string;
  volume: VolumeRequest1;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface VolumeRequest1 {
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  bootable?: boolean;
  read_only?: boolean;
  connection_info?: {};
}
export interface AttachVolumeAnswer {
  operation: Operation;
}
/**
 * Takes a disk away.
 */
export interface DetachVolume {
  args: DetachVolumeArgs;
  answer: DetachVolumeAnswer;
}
export interface DetachVolumeArgs {
  uuid: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface DetachVolumeAnswer {
  operation: Operation;
}
/**
 * result.snapshot_id names it.
 */
export interface CreateSnapshot {
  args: CreateSnapshotArgs;
  answer: CreateSnapshotAnswer;
}
export interface CreateSnapshotArgs {
  uuid: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  name?: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface CreateSnapshotAnswer {
  operation: Operation;
}
/**
 * Grows a disk, in use or not; the host sees it.
 */
export interface ResizeVolume {
  args: ResizeVolumeArgs;
  answer: ResizeVolumeAnswer;
}
export interface ResizeVolumeArgs {
  uuid: string;
  /**
   * An id that another service chose: a volume's, a port's.
   */
  volume_id: string;
  /**
   * its size afterwards; never less than now
   */
  size_bytes: number;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface ResizeVolumeAnswer {
  operation: Operation;
}
/**
 * A way to the console, for a while.
 */
export interface GetInstanceConsole {
  args: GetInstanceConsoleArgs;
  answer: GetInstanceConsoleAnswer;
}
export interface GetInstanceConsoleArgs {
  uuid: string;
  type: 'serial' | 'vnc';
}
export interface GetInstanceConsoleAnswer {
  type: 'serial' | 'vnc';
  url: string;
  token: string;
  /**
   * RFC 3339, UTC
   */
  expires_at: string;
}
/**
 * Sets the administrator's password.
 */
export interface ResetInstanceAdminPassword {
  args: ResetInstanceAdminPasswordArgs;
  answer: ResetInstanceAdminPasswordAnswer;
}
export interface ResetInstanceAdminPasswordArgs {
  uuid: string;
  new_password: string;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface ResetInstanceAdminPasswordAnswer {
  operation: Operation;
}
/**
 * Limits a NIC.
 */
export interface SetInterfaceQos {
  args: SetInterfaceQosArgs;
  answer: SetInterfaceQosAnswer;
}
export interface SetInterfaceQosArgs {
  /**
   * An id that another service chose: a volume's, a port's.
   */
  port_id: string;
  /**
   * bits per second; 0: no limit
   */
  bps?: number;
  /**
   * packets per second; 0: no limit
   */
  pps?: number;
  direction?: 'egress' | 'ingress' | 'both';
  burst?: number;
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface SetInterfaceQosAnswer {
  operation: Operation;
}
/**
 * Cold move of an instance.
 */
export interface PrepareMigration {
  args: PrepareMigrationArgs;
  answer: PrepareMigrationAnswer;
}
export interface PrepareMigrationArgs {
  uuid: string;
  target?: string;
  /**
   * A name of the catalogue, NcMg ("4c8g": 4 CPUs, 8 GiB), or the sizes themselves.
   */
  new_flavor?:
    | string
    | {
        name?: string;
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface PrepareMigrationAnswer {
  operation: Operation;
}
/**
 * Cold move of an instance.
 */
export interface FinishMigration {
  args: FinishMigrationArgs;
  answer: FinishMigrationAnswer;
}
export interface FinishMigrationArgs {
  uuid: string;
  target?: string;
  /**
   * A name of the catalogue, NcMg ("4c8g": 4 CPUs, 8 GiB), or the sizes themselves.
   */
  new_flavor?:
    | string
    | {
        name?: string;
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface FinishMigrationAnswer {
  operation: Operation;
}
/**
 * Cold move of an instance.
 */
export interface AbortMigration {
  args: AbortMigrationArgs;
  answer: AbortMigrationAnswer;
}
export interface AbortMigrationArgs {
  uuid: string;
  target?: string;
  /**
   * A name of the catalogue, NcMg ("4c8g": 4 CPUs, 8 GiB), or the sizes themselves.
   */
  new_flavor?:
    | string
    | {
        name?: string;
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
  /**
   * Names one request: sent again, it is answered with the first one's operation.
   */
  request_id?: string;
  wait?: boolean;
}
export interface AbortMigrationAnswer {
  operation: Operation;
}
/**
 * Instances, oldest first; deleted ones only when asked for by state.
 */
export interface ListInstances {
  args: ListInstancesArgs;
  answer: ListInstancesAnswer;
}
export interface ListInstancesArgs {
  state?:
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
  limit?: number;
  cursor?: string;
}
export interface ListInstancesAnswer {
  instances: Instance[];
  next?: string;
}
/**
 * One instance.
 */
export interface GetInstance {
  args: GetInstanceArgs;
  answer: Instance;
}
export interface GetInstanceArgs {
  uuid: string;
}
/**
 * Operations, newest first.
 */
export interface ListOperations {
  args: ListOperationsArgs;
  answer: ListOperationsAnswer;
}
export interface ListOperationsArgs {
  instance?: string;
  state?: 'queued' | 'running' | 'unwinding' | 'succeeded' | 'failed' | 'cancelled' | 'stuck';
  limit?: number;
  cursor?: string;
}
export interface ListOperationsAnswer {
  operations: Operation[];
  next?: string;
}
/**
 * One operation.
 */
export interface GetOperation {
  args: GetOperationArgs;
  answer: Operation;
}
export interface GetOperationArgs {
  id: string;
}
/**
 * Undoes it, where it is not past its pivot.
 */
export interface CancelOperation {
  args: CancelOperationArgs;
  answer: Operation;
}
export interface CancelOperationArgs {
  id: string;
}
/**
 * Goes on with one that is stuck.
 */
export interface RetryOperation {
  args: RetryOperationArgs;
  answer: Operation;
}
export interface RetryOperationArgs {
  id: string;
}
