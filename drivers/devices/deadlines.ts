import type { RetryPolicy } from '../../core/operation/plan.ts';

/** Time that each kind of step on a device has, retries included, in milliseconds. */
export interface DeviceDeadlines {
  /** Making a function or giving it back. */
  readonly functionMs: number;
  /** Showing a function to the host; taking it back from a host that is off. */
  readonly plugMs: number;
  /** Taking a function from a running host, over all tries; then the operation is stuck until an operator retries. */
  readonly unplugMs: number;
  /** One try of it: how long the host has to release the device. */
  readonly hostReleaseMs: number;
  /** Making a volume from an image, or deleting it. */
  readonly volumeMs: number;
  /** Exporting a volume, or ending the export. */
  readonly connectMs: number;
  /** Serving a volume to a function, binding a representor, and the way back. */
  readonly attachMs: number;
  /** Getting a port with its addresses, or letting go of it. */
  readonly portMs: number;
  /** Reading back what the host enumerated. */
  readonly recordMs: number;
}

/** Deadlines of a node where nothing else is configured. */
export const defaultDeviceDeadlines: DeviceDeadlines = {
  functionMs: 30_000,
  plugMs: 60_000,
  unplugMs: 300_000,
  hostReleaseMs: 30_000,
  volumeMs: 1_800_000,
  connectMs: 120_000,
  attachMs: 60_000,
  portMs: 60_000,
  recordMs: 30_000,
};

/** How every step tries again, up to its deadline. */
export const stepRetry: RetryPolicy = { firstDelayMs: 200, factor: 2, maxDelayMs: 5_000 };
