import type { Step } from '../../core/operation/plan.ts';
import type { NetworkBinder } from '../../core/ports/network-binder.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
import type { FunctionType, SnicController } from '../../core/ports/snic-controller.ts';
import type { StorageTarget } from '../../core/ports/storage-target.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import type { NodeId } from '../../core/units.ts';
import type { DeviceDeadlines } from './deadlines.ts';

/** What the steps of disks and NICs work on, whoever uses them: a whole host, or a machine on it. */
export interface DeviceParts {
  readonly snic: SnicController;
  readonly binder: NetworkBinder;
  readonly storage: StorageTarget;
  readonly volumes: VolumeService;
  readonly networks: NetworkService;
  readonly node: NodeId;
  /** What a disk is shown as. */
  readonly diskType: FunctionType;
  readonly deadlines: DeviceDeadlines;
}

/** The steps that make one device ready, short of its plug. */
export interface DeviceSteps {
  readonly steps: readonly Step[];
  /** Name of the last one: behind it the device is served and may be shown to the host. */
  readonly ready: string;
}
