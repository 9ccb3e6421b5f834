/** What a node is in nova and Placement. */
export interface NodeSettings {
  /** nova's `host`: the name of the compute service, and of its queue. */
  readonly host: string;
  /** hypervisor_hostname: the name of the node and of its resource provider. */
  readonly node: string;
  /** Of the node record and the resource provider; the same over restarts. */
  readonly uuid: string;
  /** Where other hosts reach this one. */
  readonly hostIp: string;
  /** The host's architecture as nova names it: `x86_64`, `aarch64`. */
  readonly arch: string;
  /** Name of a whole bare-metal node's resource class, as in Ironic: `gold` is offered as `CUSTOM_BAREMETAL_GOLD`. */
  readonly bareMetalClass: string;
  /** GiB that VMs' disks may add up to. */
  readonly diskGb: number;
  /** MiB that VMs may not have. */
  readonly reservedMemoryMb: number;
  /** CPUs of the host that VMs may not have. */
  readonly reservedCpus: number;
  readonly cpuAllocationRatio: number;
  readonly ramAllocationRatio: number;
  readonly diskAllocationRatio: number;
  /** Traits of what the node can do (`COMPUTE_*`), besides those that follow from its model and type. */
  readonly traits: readonly string[];
  /** nova's report_interval. Default 10 s. */
  readonly reportIntervalMs: number;
  /** nova's update_resources_interval. Default 60 s. */
  readonly resourcesIntervalMs: number;
  /** nova's heal_instance_info_cache_interval. Default 60 s. */
  readonly healIntervalMs: number;
  /** nova's scheduler_instance_sync_interval. Default 120 s. */
  readonly schedulerSyncIntervalMs: number;
  /** nova's sync_power_state_interval. Default 600 s. */
  readonly powerSyncIntervalMs: number;
  /** nova's resize_confirm_window, in seconds: a move that is finished that long is confirmed. 0: never. */
  readonly resizeConfirmWindowSec: number;
  /** nova's reclaim_instance_interval, in seconds: a server that is deleted softly that long is deleted. 0: never. */
  readonly reclaimIntervalSec: number;
}

/** nova's own defaults, and what every node of ours can do. */
export const defaultNodeSettings = {
  diskGb: 0,
  reservedMemoryMb: 512,
  reservedCpus: 0,
  cpuAllocationRatio: 16,
  ramAllocationRatio: 1.5,
  diskAllocationRatio: 1,
  traits: [
    'COMPUTE_NODE',
    'COMPUTE_NET_ATTACH_INTERFACE',
    'COMPUTE_VOLUME_EXTEND',
    'COMPUTE_RESCUE_BFV',
    'COMPUTE_IMAGE_TYPE_RAW',
    'COMPUTE_IMAGE_TYPE_QCOW2',
  ],
  reportIntervalMs: 10_000,
  resourcesIntervalMs: 60_000,
  healIntervalMs: 60_000,
  schedulerSyncIntervalMs: 120_000,
  powerSyncIntervalMs: 600_000,
  resizeConfirmWindowSec: 0,
  reclaimIntervalSec: 0,
} as const satisfies Partial<NodeSettings>;
