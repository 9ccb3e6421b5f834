import type { BootTarget, HostInventory, PowerState } from '../../core/ports/power-controller.ts';

/** What can be ordered. There is no cycle: some BMCs do one by taking the mains away, which the card hangs on too. */
export type PowerOrder = 'on' | 'off' | 'soft-off' | 'reset';

/** What one source knows of the hardware; what it does not know is absent. */
export type PartialInventory = { readonly [Key in keyof HostInventory]?: HostInventory[Key] | undefined };

/**
 * A way to speak to a BMC. Every call is one exchange with a time limit of its own, and rejects with DpuError: `unavailable` (no answer; an order may
 * have been carried out), `denied`, `unsupported`, `bad_state`, `hardware`; or with the signal's reason.
 */
export interface BmcProtocol {
  power(signal: AbortSignal | undefined): Promise<PowerState>;
  /** Sends an order and does not wait for what comes of it. */
  order(order: PowerOrder, signal: AbortSignal | undefined): Promise<void>;
  /** @throws `unsupported` where disks can't be told apart. */
  setBoot(target: BootTarget, signal: AbortSignal | undefined): Promise<void>;
  inventory(signal: AbortSignal | undefined): Promise<PartialInventory>;
  close(): Promise<void>;
}
