import { type DeviceDeadlines, defaultDeviceDeadlines } from '../devices/deadlines.ts';

/** Time that each kind of step has, retries included, in milliseconds. */
export interface BmDeadlines extends DeviceDeadlines {
  /** Choosing what the host starts from. */
  readonly bootDeviceMs: number;
  readonly powerOnMs: number;
  /** Taking the power away; also what a soft power-off has on top of the host's own time. */
  readonly powerOffMs: number;
}

/** Deadlines of a node where nothing else is configured. */
export const defaultDeadlines: BmDeadlines = {
  ...defaultDeviceDeadlines,
  bootDeviceMs: 60_000,
  powerOnMs: 120_000,
  powerOffMs: 60_000,
};
