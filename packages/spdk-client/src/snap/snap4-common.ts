import { isAnything, isList, isObject, method } from '../method.ts';
import type { EmulatedFunction, FunctionRef, SnapSubsystem } from './functions.ts';

/** Options of a virtio-blk controller; `vblk_id` is the serial number that the guest sees, at most 20 bytes. */
export interface VirtioBlkController {
  readonly ctrl?: string;
  /** A bdev of SPDK. */
  readonly bdev: string;
  readonly num_queues?: number;
  readonly queue_size?: number;
  readonly seg_max?: number;
  readonly size_max?: number;
  readonly vblk_id?: string;
  readonly force_in_order?: boolean;
  readonly admin_q?: boolean;
  readonly indirect_desc?: boolean;
  readonly read_only?: boolean;
  readonly suspended?: boolean;
  readonly live_update_listener?: boolean;
}

/** Options of an NVMe controller; `suspended` until its namespaces are attached. */
export interface NvmeControllerOptions {
  readonly nqn: string;
  readonly suspended?: boolean;
  readonly num_queues?: number;
  readonly mdts?: number;
}

type Ctrl = { readonly ctrl_id: string };
type VirtioCtrl = { readonly ctrl: string };

/**
 * What both generations of SNAP-4 have (NVIDIA DOCA, "SNAP-4 Service RPC Commands"). Not met in a recording; where
 * nobody has seen an answer it is given as `unknown`.
 */
export const snap4Common = {
  /** The functions; with `all: true` their virtual functions too. */
  functions: method<{ readonly all?: boolean }, readonly EmulatedFunction[]>(
    'emulation_function_list',
    isList({ emulation_type: 'string', vuid: 'string', pci_bdf: 'string' }),
  ),
  /** Makes a subsystem; one for each volume keeps namespace ids apart. */
  createSubsystem: method<
    {
      readonly nqn: string;
      readonly serial?: string;
      readonly model?: string;
      readonly nn?: number;
      readonly mnan?: number;
    },
    unknown
  >('nvme_subsystem_create', isAnything),
  /** Removes a subsystem. */
  destroySubsystem: method<{ readonly nqn: string; readonly force?: boolean }, unknown>(
    'nvme_subsystem_destroy',
    isAnything,
  ),
  /** The subsystems with their controllers and namespaces. */
  subsystems: method<Record<never, never>, readonly SnapSubsystem[]>('nvme_subsystem_list', isList({ nqn: 'string' })),
  /** Makes a namespace over a bdev of SPDK. A fixed `nsid` and `uuid` are what a rebuild gives again. */
  createNamespace: method<
    {
      readonly bdev_type: 'spdk';
      readonly bdev_name: string;
      readonly nqn: string;
      readonly nsid: number;
      readonly uuid?: string;
    },
    unknown
  >('nvme_namespace_create', isAnything),
  /** Removes a namespace. */
  destroyNamespace: method<{ readonly nqn: string; readonly nsid: number }, unknown>(
    'nvme_namespace_destroy',
    isAnything,
  ),
  /** Makes the controller of a function. */
  createNvmeController: method<NvmeControllerOptions & FunctionRef, { readonly ctrl_id: string }>(
    'nvme_controller_create',
    isObject({ ctrl_id: 'string' }),
  ),
  /** Removes a controller. */
  destroyNvmeController: method<Ctrl & { readonly force?: boolean }, unknown>('nvme_controller_destroy', isAnything),
  /** Shows a namespace through a controller; never one through two. */
  attachNamespace: method<Ctrl & { readonly nsid: number }, unknown>('nvme_controller_attach_ns', isAnything),
  /** Takes it back. */
  detachNamespace: method<Ctrl & { readonly nsid: number }, unknown>('nvme_controller_detach_ns', isAnything),
  /** Lets a suspended controller run. */
  resumeNvmeController: method<Ctrl, unknown>('nvme_controller_resume', isAnything),
  /** Makes the virtio-blk controller of a function. */
  createVirtioBlkController: method<VirtioBlkController & FunctionRef, unknown>(
    'virtio_blk_controller_create',
    isAnything,
  ),
  /** The virtio-blk controllers. */
  virtioBlkControllers: method<Partial<VirtioCtrl>, unknown>('virtio_blk_controller_list', isAnything),
  /** Changes a controller that its driver does not use. */
  modifyVirtioBlkController: method<VirtioCtrl & { readonly num_queues?: number; readonly num_msix?: number }, unknown>(
    'virtio_blk_controller_modify',
    isAnything,
  ),
  /** Stops its I/O. */
  suspendVirtioBlkController: method<VirtioCtrl, unknown>('virtio_blk_controller_suspend', isAnything),
  /** Gives it another bdev. */
  attachVirtioBlkBdev: method<VirtioCtrl & { readonly bdev: string }, unknown>(
    'virtio_blk_controller_bdev_attach',
    isAnything,
  ),
  /** Takes its bdev away. */
  detachVirtioBlkBdev: method<VirtioCtrl, unknown>('virtio_blk_controller_bdev_detach', isAnything),
  /** Removes a controller. */
  destroyVirtioBlkController: method<VirtioCtrl & { readonly force?: boolean }, unknown>(
    'virtio_blk_controller_destroy',
    isAnything,
  ),
} as const;
