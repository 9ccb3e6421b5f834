import type { FunctionId } from '../units.ts';

/** Whether the host runs; `unknown` when the BMC does not say. */
export type PowerState = 'on' | 'off' | 'unknown';

/** What to start from next time. */
export interface BootTarget {
  /** The storage function that holds the boot disk, and its address where known. */
  readonly functionId: FunctionId;
  readonly bdf: string | null;
}

/** The host's hardware, as its BMC tells it. */
export interface HostInventory {
  readonly serialNumber: string | null;
  readonly model: string | null;
  readonly cpus: number;
  readonly memoryMib: number;
}

/** The host's BMC. Every mutator is an ensure: asked for a state that is there already, it does nothing. */
export interface PowerController {
  /** @throws `unavailable` (the BMC is away), `timeout`, `denied` (credentials). */
  getPower(signal?: AbortSignal): Promise<PowerState>;
  /** Ends when the host is on. @throws as `getPower`, and `hardware` when it does not come on. */
  powerOn(signal?: AbortSignal): Promise<void>;
  /**
   * Ends when the host is off. `soft` asks the host and gives it `softTimeoutMs`, then rejects with `timeout`;
   * `hard` takes the power away. Never an AC cycle: the SoC hangs on the same supply.
   */
  powerOff(mode: 'soft' | 'hard', softTimeoutMs: number, signal?: AbortSignal): Promise<void>;
  /** @throws `unsupported` where the BMC cannot tell disks apart. */
  setNextBoot(target: BootTarget, signal?: AbortSignal): Promise<void>;
  inventory(signal?: AbortSignal): Promise<HostInventory>;
}
