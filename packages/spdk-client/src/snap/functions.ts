/** How SNAP-4 names the function that a controller serves: by vuid, by vhca_id, by PCI address or by position. */
export type FunctionRef =
  | { readonly vuid: string }
  | { readonly vhca_id: number }
  | { readonly pci_bdf: string }
  | { readonly pf_id: number; readonly vf_id?: number };

/** A function as SNAP-4 lists it. Before the host has enumerated it `pci_bdf` is `00:00.0`: use the vuid. */
export interface EmulatedFunction {
  readonly hotplugged: boolean;
  readonly emulation_type: 'NVME' | 'VBLK' | (string & {});
  readonly pf_index: number;
  readonly pci_bdf: string;
  readonly vhca_id: number;
  readonly vuid: string;
  /** Absent while no controller serves it. */
  readonly ctrl_id?: string;
  readonly vfs?: readonly EmulatedVf[];
}

/** A virtual function of one; the suffix of its vuid counts from 1, `vf_index` from 0. */
export interface EmulatedVf {
  readonly hotplugged: boolean;
  readonly emulation_type: string;
  readonly pf_index: number;
  readonly vf_index: number;
  readonly pci_bdf: string;
  readonly vhca_id: number;
  readonly vuid: string;
  readonly ctrl_id?: string;
}

/** A new function, which the host does not see yet. */
export interface NewFunction {
  readonly vhca_id: number;
  readonly vuid: string;
}

/** A subsystem as SNAP-4 lists it; among the keys of a namespace is one with spaces. */
export interface SnapSubsystem {
  readonly nqn: string;
  readonly sn?: string;
  readonly mn?: string;
  readonly nn?: number;
  readonly mnan?: number;
  readonly controllers?: readonly SnapNvmeController[];
  readonly namespaces?: readonly {
    readonly nsid: number;
    readonly bdev: string;
    readonly nqn?: string;
    readonly uuid?: string;
    readonly ready?: string;
    readonly controllers?: readonly { readonly ctrl_id: string }[];
  }[];
}

/** An NVMe controller as SNAP-4 lists it inside its subsystem. */
export interface SnapNvmeController {
  readonly ctrl_id: string;
  readonly vhca_id?: number;
  readonly nqn?: string;
  readonly state?: string;
  readonly plugged?: boolean;
  readonly num_queues?: number;
  readonly namespaces?: readonly { readonly nsid: number; readonly bdev: string; readonly uuid?: string }[];
}
