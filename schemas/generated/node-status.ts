/** Generated from schemas/node-status.json by `npm run schemas`. Do not edit. */

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
