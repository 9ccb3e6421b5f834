import { type DeviceDeadlines, defaultDeviceDeadlines } from '../devices/deadlines.ts';

/** Time that each kind of step has, retries included, in milliseconds. */
export interface VmDeadlines extends DeviceDeadlines {
  /** Defining a machine, starting it, taking its power away, pausing it; also what a soft power-off has on top of the guest's own time. */
  readonly machineMs: number;
  /** Writing a machine's memory to the disk, and reading it back. */
  readonly memoryMs: number;
}

/** Deadlines of a node where nothing else is configured. */
export const defaultDeadlines: VmDeadlines = { ...defaultDeviceDeadlines, machineMs: 60_000, memoryMs: 1_800_000 };
