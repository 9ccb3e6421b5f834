import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';

/** Paths of the programs that the card is driven by; a bare name is looked up in PATH. */
export interface BluefieldPrograms {
  /** CLI of NVIDIA's virtio-net-controller. */
  readonly virtnet: string;
  /** iproute2's, or `mlxdevm`, which has the same verbs. */
  readonly devlink: string;
  readonly ip: string;
  readonly mlxprivhost: string;
}

/** Where network functions are made. */
export interface BluefieldNetwork {
  /** RDMA device of the port: `mlx5_0`, `mlx5_1`, `mlx5_bond_0`. */
  readonly device: string;
  /** Number of the port's physical function, by which devlink knows its representors. */
  readonly pfnum: number;
  /** First SF number that is ours, and how many there are; the controller's own functions use others. */
  readonly firstSf: number;
  readonly sfs: number;
  readonly mtu: number;
  readonly queues: number;
  readonly queueSize: number;
}

/** Which of the host's own VFs may be claimed. */
export interface BluefieldVfs {
  /** Number of the host's physical function. */
  readonly pfnum: number;
  /** Number of the host's controller; 0 is the SoC. Kernels that tell none are taken to mean the host. */
  readonly controller: number;
}

/** What the BlueField backend works on. */
export interface BluefieldBackendOptions {
  readonly clock: Clock;
  readonly log?: Log;
  readonly programs?: Partial<BluefieldPrograms>;
  /** null: no network functions are made. */
  readonly network: BluefieldNetwork | null;
  /** SNAP's JSON-RPC socket; null: no storage functions are made. */
  readonly snapSocket: string | null;
  /** null: no VFs are claimed. */
  readonly vfs: BluefieldVfs | null;
  /** Functions that can be hot-plugged: one less than the firmware's PCI_SWITCH_EMULATION_NUM_PORT. */
  readonly hotplugPorts: number;
  /** For `describe`. */
  readonly model: string;
  readonly serialNumber?: string | null;
  /** What `mlxprivhost -d` is given, such as `/dev/mst/mt41692_pciconf0`; without it nobody can tell whether the host is restricted. */
  readonly mstDevice?: string | null;
  /** Deadline of one command or call in milliseconds; default 10,000. */
  readonly commandTimeoutMs?: number;
  /** How long a host may take to see a new device, in milliseconds; default 45,000. */
  readonly hotplugTimeoutMs?: number;
  /** How often the card is asked again while something is awaited, in milliseconds; default 200. */
  readonly settleMs?: number;
  /** How often the card is looked at while somebody watches, in milliseconds; default 15,000. It tells of nothing by itself. */
  readonly watchMs?: number;
}
