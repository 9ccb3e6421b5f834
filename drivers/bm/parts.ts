import type { DiskInput, InstanceInput, NicInput } from '../../core/operation/inputs.ts';
import type { Step } from '../../core/operation/plan.ts';
import type { NetworkBinder } from '../../core/ports/network-binder.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { PowerController } from '../../core/ports/power-controller.ts';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import type { StorageTarget } from '../../core/ports/storage-target.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import type { NodeId } from '../../core/units.ts';
import type { BmDeadlines } from './deadlines.ts';

/** What the steps of a bare-metal node work on. */
export interface BmParts {
  readonly snic: SnicController;
  readonly binder: NetworkBinder;
  readonly storage: StorageTarget;
  readonly volumes: VolumeService;
  readonly networks: NetworkService;
  readonly power: PowerController;
  readonly node: NodeId;
  readonly deadlines: BmDeadlines;
}

/** The steps that make one device ready, short of its plug. */
export interface DeviceSteps {
  readonly steps: readonly Step[];
  /** Name of the last one: behind it the device is served and may be shown to the host. */
  readonly ready: string;
}

/** The mark of everything that is made for a disk. */
export function diskMark(node: NodeId, to: InstanceInput, disk: DiskInput): OwnershipMark {
  return {
    node,
    instance: to.instance,
    role: disk.boot ? 'boot' : 'disk',
    key: disk.volumeId,
    name: to.name,
    flavor: to.flavor,
    ...(disk.fromImage === null ? {} : { deleteWithInstance: true }),
  };
}

/** The mark of everything that is made for a NIC. */
export function nicMark(node: NodeId, to: InstanceInput, nic: NicInput): OwnershipMark {
  return { node, instance: to.instance, role: 'nic', key: nic.portId, name: to.name, flavor: to.flavor };
}
