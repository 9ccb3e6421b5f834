import { DpuError } from '../../../core/errors.ts';
import type { FunctionClass } from '../../../core/ports/snic-controller.ts';
import type { BackendCapabilities, BackendSpec } from '../backend.ts';
import type { StorageFront } from './options.ts';

type Properties = Readonly<Record<string, boolean>>;

/** Features that every virtio device of QEMU 7.2 has as properties (`-device virtio-net-pci,help`). */
const virtio: Readonly<Record<string, Properties>> = {
  packed: { packed: true },
  event_idx: { event_idx: true },
  indirect_desc: { indirect_desc: true },
  iommu_platform: { iommu_platform: true },
  ats: { ats: true, iommu_platform: true },
};

/**
 * Features of a class, and the properties that switch them on. A feature that is not asked for is as QEMU has it by default.
 * No checksum or segmentation offload is among them: QEMU takes those away from a NIC whose tap has no vnet_hdr, and with one the
 * userspace datapath of Open vSwitch would pass on frames without a checksum.
 */
const features: Readonly<Record<FunctionClass, Readonly<Record<string, Properties>>>> = {
  'virtio-net': {
    ...virtio,
    mrg_rxbuf: { mrg_rxbuf: true },
    status: { status: true },
    ctrl_vq: { ctrl_vq: true },
    ctrl_rx: { ctrl_rx: true, ctrl_vq: true },
    ctrl_vlan: { ctrl_vlan: true, ctrl_vq: true },
    ctrl_mac_addr: { ctrl_mac_addr: true, ctrl_vq: true },
    guest_announce: { guest_announce: true, ctrl_vq: true },
  },
  'virtio-blk': {
    ...virtio,
    discard: { discard: true },
    'write-zeroes': { 'write-zeroes': true },
    'config-wce': { 'config-wce': true },
  },
  nvme: {},
};

/** What there can be with a storage front: NVMe needs a block node in QEMU, and vhost-user has none. */
export function kindsOf(front: StorageFront): BackendCapabilities['kinds'] {
  const classes = (['virtio-net', 'virtio-blk', 'nvme'] as const).filter(
    (each) => each !== 'nvme' || front.kind === 'nbd',
  );
  return (['PF', 'VF'] as const).flatMap((type) =>
    classes.map((each) => ({ type, class: each, features: Object.keys(features[each]) })),
  );
}

/** The properties of a function's features. @throws `unsupported` for a class or feature that can't be had. */
export function featureProperties(spec: BackendSpec, front: StorageFront): Properties {
  if (!kindsOf(front).some((each) => each.class === spec.class)) {
    throw new DpuError('unsupported', `no ${spec.class} function behind a ${front.kind} front`, { field: 'class' });
  }
  const known = features[spec.class];
  const properties = spec.features.map((name) => {
    if (Object.hasOwn(known, name)) return known[name];
    throw new DpuError('unsupported', `${spec.class} has no feature ${name} here`, { field: 'features' });
  });
  return Object.assign({}, ...properties);
}

/** The class that comes nearest to a driver of QEMU; foreign devices have others than ours. */
export function classOfDriver(driver: string): FunctionClass {
  if (driver.startsWith('nvme')) return 'nvme';
  return /blk|scsi|ahci|megasas|pvscsi/.test(driver) ? 'virtio-blk' : 'virtio-net';
}
