/** Generated from schemas/operation.json by `npm run schemas`. Do not edit. */

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
