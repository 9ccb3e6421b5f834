import type { Step } from '../../core/operation/plan.ts';
import type { NetworkBinder } from '../../core/ports/network-binder.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
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
