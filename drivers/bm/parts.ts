import type { BiosGuard } from '../../core/ports/host-bios.ts';
import type { PowerController } from '../../core/ports/power-controller.ts';
import type { DeviceParts } from '../devices/parts.ts';
import type { BmDeadlines } from './deadlines.ts';

/** What the steps of a bare-metal node work on. */
export interface BmParts extends DeviceParts {
  readonly power: PowerController;
  /** Absent: BIOS settings are nobody's business. */
  readonly bios?: BiosGuard;
  readonly deadlines: BmDeadlines;
}
