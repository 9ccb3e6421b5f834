import { isAnything, isList, isObject, isString, method } from '../method.ts';

/** A function as mlnx_snap 3 lists it. */
export interface Snap3Function {
  readonly emulation_manager: string;
  readonly emulation_type: 'nvme' | 'virtio_blk' | (string & {});
  readonly pci_index: number;
  readonly pci_bdf: string;
  /** Only in the answer to an attach. */
  readonly pci_type?: string;
  readonly total_vf?: number;
  readonly virtual_functions?: readonly { readonly vf_index: number; readonly vf_bdf: string }[];
}

/** Which function of which manager a new controller serves. */
export interface Snap3Place {
  /** RDMA device of the card, such as `mlx5_0`. */
  readonly emulation_manager: string;
  readonly pf_id?: number;
  readonly vf_id?: number;
  readonly pci_bdf?: string;
}

type None = Record<never, never>;

/** BlueField-2's mlnx_snap 3 (NVIDIA BlueField SNAP 3.x, "SNAP Commands"). Not met in a recording. */
export const snap3 = {
  /** The functions. */
  functions: method<None, readonly Snap3Function[]>(
    'emulation_functions_list',
    isList({ emulation_type: 'string', pci_bdf: 'string' }),
  ),
  /** The devices that can emulate. */
  managers: method<None, unknown>('emulation_managers_list', isAnything),
  /** Plugs a function. */
  attachDevice: method<
    { readonly emulation_manager: string; readonly emulation_type: 'nvme' | 'virtio_blk' },
    Snap3Function
  >('emulation_device_attach', isObject({ emulation_type: 'string', pci_bdf: 'string' })),
  /** Makes an NVMe controller. */
  createNvmeController: method<
    Snap3Place & { readonly nqn?: string; readonly num_queues?: number },
    { readonly name: string; readonly cntlid: number }
  >('controller_nvme_create', isObject({ name: 'string', cntlid: 'number' })),
  /** Makes a virtio-blk controller and gives its name, such as `VblkEmu0`. */
  createVirtioBlkController: method<
    Snap3Place & {
      readonly bdev_type?: 'spdk';
      readonly bdev?: string;
      readonly num_queues?: number;
      readonly serial?: string;
    },
    string
  >('controller_virtio_blk_create', isString),
  /** The controllers. */
  controllers: method<None, unknown>('controller_list', isAnything),
  /** Shows a bdev as a namespace of a controller. */
  attachNamespace: method<
    {
      readonly ctrl: string;
      readonly bdev_type: 'spdk';
      readonly bdev: string;
      readonly nsid: number;
      readonly uuid?: string;
    },
    unknown
  >('controller_nvme_namespace_attach', isAnything),
  /** Makes a subsystem. */
  createSubsystem: method<
    { readonly nqn?: string; readonly serial_number?: string; readonly model_number?: string },
    unknown
  >('subsystem_nvme_create', isAnything),
} as const;
