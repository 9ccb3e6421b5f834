import { isAnything, isList, isStrings, isTrue, method, type None } from '../method.ts';

/** NVMe transports that `trtype` names. */
export type Transport = 'TCP' | 'RDMA' | 'PCIe' | 'VFIOUSER';

/** Where a subsystem is to be found. */
export interface TransportId {
  readonly trtype: Transport;
  readonly traddr: string;
  readonly adrfam?: 'IPv4' | 'IPv6' | 'IB';
  readonly trsvcid?: string;
  readonly subnqn?: string;
}

/** What to do when the target is away; see `checkReconnect` for the combinations that SPDK takes. */
export interface ReconnectOptions {
  /** Seconds until the controller is deleted; -1 never, 0 without any attempt to reconnect. */
  readonly ctrlr_loss_timeout_sec?: number;
  /** Seconds between attempts. */
  readonly reconnect_delay_sec?: number;
  /** Seconds until I/O fails; 0 it waits. */
  readonly fast_io_fail_timeout_sec?: number;
}

/** How a second path of a controller with the same name is used; SPDK's default is failover. */
export type Multipath = 'disable' | 'failover' | 'multipath';

/** A controller to attach. A further path: the same name again, without `hostnqn` and `hostaddr`. */
export interface AttachController extends TransportId, ReconnectOptions {
  readonly name: string;
  readonly hostnqn?: string;
  readonly hostaddr?: string;
  readonly hostsvcid?: string;
  readonly hdgst?: boolean;
  readonly ddgst?: boolean;
  readonly multipath?: Multipath;
  readonly num_io_queues?: number;
  readonly max_bdevs?: number;
  /** Name of a key of the keyring, never the key itself. */
  readonly psk?: string;
  readonly dhchap_key?: string;
  readonly dhchap_ctrlr_key?: string;
  readonly fabrics_connect_timeout_us?: number;
}

/** The controller, or with any of the rest only the paths that match. */
export interface DetachController extends Partial<TransportId> {
  readonly name: string;
  readonly hostaddr?: string;
  readonly hostsvcid?: string;
}

/** One controller with its paths. */
export interface NvmeController {
  readonly name: string;
  readonly ctrlrs: readonly {
    readonly state: string;
    readonly trid: TransportId;
    readonly cntlid?: number;
    readonly host?: { readonly nqn: string; readonly addr: string; readonly svcid: string };
  }[];
}

/** A discovery service to follow. */
export interface StartDiscovery extends ReconnectOptions {
  readonly name: string;
  readonly trtype: Transport;
  readonly traddr: string;
  readonly adrfam?: 'IPv4' | 'IPv6' | 'IB';
  readonly trsvcid?: string;
  readonly hostnqn?: string;
  readonly wait_for_attach?: boolean;
  readonly attach_timeout_ms?: number;
}

/** Options of all NVMe controllers; some are refused once a controller is there. */
export interface NvmeOptions extends ReconnectOptions {
  readonly action_on_timeout?: 'none' | 'reset' | 'abort';
  readonly timeout_us?: number;
  readonly timeout_admin_us?: number;
  readonly keep_alive_timeout_ms?: number;
  readonly bdev_retry_count?: number;
  readonly transport_retry_count?: number;
  readonly transport_ack_timeout?: number;
  readonly io_queue_requests?: number;
  readonly nvme_adminq_poll_period_us?: number;
  readonly nvme_ioq_poll_period_us?: number;
}

/** NVMe and NVMe over fabrics as initiator (SPDK doc/jsonrpc.md, "bdev_nvme_attach_controller"; doc/nvme_multipath.md). */
export const nvme = {
  /**
   * Attaches a controller and gives the names of its bdevs. The same name and path again: -114; refused: -19; unknown
   * NQN: -32602.
   */
  attach: method<AttachController, readonly string[]>('bdev_nvme_attach_controller', isStrings),
  /** Detaches it, even under a running guest: look at the front ends first. -19 when it is not there. */
  detach: method<DetachController, true>('bdev_nvme_detach_controller', isTrue),
  /** The controllers. */
  controllers: method<{ readonly name?: string }, readonly NvmeController[]>(
    'bdev_nvme_get_controllers',
    isList({ name: 'string', ctrlrs: 'array' }),
  ),
  /** Resets a controller. */
  reset: method<{ readonly name: string; readonly cntlid?: number }, true>('bdev_nvme_reset_controller', isTrue),
  /** Attaches what a discovery service lists, now and later. */
  startDiscovery: method<StartDiscovery, true>('bdev_nvme_start_discovery', isTrue),
  /** Stops following it. */
  stopDiscovery: method<{ readonly name: string }, true>('bdev_nvme_stop_discovery', isTrue),
  /** The discovery services that are followed. */
  discoveryInfo: method<None, unknown>('bdev_nvme_get_discovery_info', isAnything),
  /** Options of the whole module. */
  setOptions: method<NvmeOptions, true>('bdev_nvme_set_options', isTrue),
  /** How the paths of one bdev are used. Deprecated in v26.09, where `multipath_opts` of attach takes its place. */
  setMultipathPolicy: method<
    {
      readonly name: string;
      readonly policy: 'active_passive' | 'active_active';
      readonly selector?: 'round_robin' | 'queue_depth';
      readonly rr_min_io?: number;
    },
    true
  >('bdev_nvme_set_multipath_policy', isTrue),
  /** Chooses the path by the controller's id. */
  setPreferredPath: method<{ readonly name: string; readonly cntlid: number }, true>(
    'bdev_nvme_set_preferred_path',
    isTrue,
  ),
  /** The paths by which a bdev is reached. */
  ioPaths: method<{ readonly name?: string }, unknown>('bdev_nvme_get_io_paths', isAnything),
} as const;

/** Keys in files, which `psk` and `dhchap_key` name (SPDK doc/jsonrpc.md, "keyring_file_add_key"). */
export const keyring = {
  /** Adds a file, which must belong to SPDK's user and be closed to all others. */
  addFile: method<{ readonly name: string; readonly path: string }, true>('keyring_file_add_key', isTrue),
  /** Forgets it. */
  removeFile: method<{ readonly name: string }, true>('keyring_file_remove_key', isTrue),
} as const;
