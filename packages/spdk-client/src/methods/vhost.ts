import { isAnything, isList, isString, isTrue, method, type None } from '../method.ts';

/** A vhost-user block controller to make. SPDK lets two writable ones share a bdev: `ensureVhostBlkController` does not. */
export interface CreateVhostBlk {
  /** Its name, and that of its socket in the directory given to SPDK with `-S`. */
  readonly ctrlr: string;
  readonly dev_name: string;
  readonly readonly?: boolean;
  readonly packed_ring?: boolean;
  readonly cpumask?: string;
  /** Default `vhost_user_blk`; vendors bring their own. */
  readonly transport?: string;
}

/** One connected front end. */
export interface VhostSession {
  readonly vid: number;
  readonly id: number;
  readonly name: string;
  readonly started: boolean;
  readonly max_queues: number;
  readonly inflight_task_cnt: number;
}

/** A vhost controller. */
export interface VhostController {
  readonly ctrlr: string;
  readonly cpumask: string;
  readonly socket?: string;
  readonly sessions?: readonly VhostSession[];
  readonly backend_specific: {
    /** `bdev` is null when the back end was taken away under the front end. */
    readonly block?: { readonly readonly: boolean; readonly bdev: string | null; readonly transport?: string };
    readonly scsi?: unknown;
  };
}

/**
 * vhost-user (SPDK doc/jsonrpc.md, "vhost"). Every failure of these methods is -32602, or -32603 from the listing of one:
 * exists, missing, busy and wrong options can't be told apart by the code. List, or use the `ensure…` helpers.
 */
export const vhost = {
  /** Makes a block controller. */
  createBlk: method<CreateVhostBlk, true>('vhost_create_blk_controller', isTrue),
  /** Removes a controller; while a front end is connected some releases answer busy, others hold the request open. */
  remove: method<{ readonly ctrlr: string }, true>('vhost_delete_controller', isTrue),
  /** The controllers, or one by name. */
  list: method<{ readonly name?: string }, readonly VhostController[]>(
    'vhost_get_controllers',
    isList({ ctrlr: 'string', cpumask: 'string', backend_specific: 'object' }),
  ),
  /** Interrupt coalescing. */
  setCoalescing: method<
    { readonly ctrlr: string; readonly delay_base_us: number; readonly iops_threshold: number },
    true
  >('vhost_controller_set_coalescing', isTrue),
  /** Loads another transport of virtio-blk. */
  createTransport: method<{ readonly name: string }, true>('virtio_blk_create_transport', isTrue),
  /** The transports of virtio-blk. */
  transports: method<{ readonly name?: string }, unknown>('virtio_blk_get_transports', isAnything),
} as const;

/** virtio-blk over vfio-user (SPDK doc/jsonrpc.md, "vfu_virtio_create_blk_endpoint"). Not met in a recording. */
export const vfu = {
  /** Directory of the endpoints' sockets. */
  setBasePath: method<{ readonly path: string }, true>('vfu_tgt_set_base_path', isTrue),
  /** Makes an endpoint. */
  createBlkEndpoint: method<
    {
      readonly name: string;
      readonly bdev_name: string;
      readonly cpumask?: string;
      readonly num_queues?: number;
      readonly qsize?: number;
      readonly packed_ring?: boolean;
    },
    true
  >('vfu_virtio_create_blk_endpoint', isTrue),
  /** Removes an endpoint. */
  removeEndpoint: method<{ readonly name: string }, true>('vfu_virtio_delete_endpoint', isTrue),
} as const;

/** One thing that happened; ids count up from 0. */
export interface Notification {
  readonly type: string;
  readonly ctx: string;
  readonly id: number;
}

/** Notifications (SPDK doc/jsonrpc.md, "notify_get_notifications"). Not met in a recording. */
export const notify = {
  /** The kinds, such as `bdev_register`. */
  types: method<None, readonly string[]>(
    'notify_get_types',
    (value): value is readonly string[] => Array.isArray(value) && value.every(isString),
  ),
  /** At most `max` from `id` on, out of a ring: old ones are lost. `notifications` reads them all, and tells of a loss. */
  list: method<{ readonly id?: number; readonly max?: number }, readonly Notification[]>(
    'notify_get_notifications',
    isList({ type: 'string', ctx: 'string', id: 'number' }),
  ),
} as const;
