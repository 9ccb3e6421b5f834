import type { FunctionId, Mac } from '../units.ts';

/** Whether the host runs; `unknown` when the BMC does not say. */
export type PowerState = 'on' | 'off' | 'unknown';

/** What to start from next time. */
export interface BootTarget {
  /** The storage function that holds the boot disk, and its address where known. */
  readonly functionId: FunctionId;
  readonly bdf: string | null;
  /** `next`: once. Default `always`: the host finds the disk again when it restarts by itself. */
  readonly lasts?: 'next' | 'always';
}

/** The host's hardware, as its BMC tells it. */
export interface HostInventory {
  readonly serialNumber: string | null;
  readonly model: string | null;
  /** Hardware threads; 0 where nobody knows. */
  readonly cpus: number;
  /** 0 where nobody knows. */
  readonly memoryMib: number;
  readonly manufacturer: string | null;
  /** What the BMC knows of: on some hosts not the card's functions. */
  readonly nics: readonly HostNic[];
  readonly disks: readonly HostDisk[];
}

/** A network interface of the host. */
export interface HostNic {
  readonly name: string;
  readonly mac: Mac | null;
}

/** A disk of the host. */
export interface HostDisk {
  readonly name: string;
  readonly serialNumber: string | null;
  readonly sizeBytes: number | null;
}

/** Who works on the host's power. */
export interface PowerOwner {
  /** For people: `switching the host off`. */
  readonly reason: string;
  /** RFC 3339. */
  readonly since: string;
}

/**
 * The host's BMC. Every mutator but `reset` is an ensure: asked for a state that is there already, it does nothing. The power has one owner at a
 * time: a mutator that comes while another runs rejects with `busy`, naming what runs.
 */
export interface PowerController {
  /** Who works on the power now. */
  owner(): PowerOwner | null;
  /** @throws `unavailable` (the BMC is away), `timeout`, `denied` (credentials). */
  getPower(signal?: AbortSignal): Promise<PowerState>;
  /** Ends when the host is on. @throws as `getPower`, and `hardware` when it does not come on. */
  powerOn(signal?: AbortSignal): Promise<void>;
  /**
   * Ends when the host is off. `soft` asks the host and gives it `softTimeoutMs`, then rejects with `timeout`;
   * `hard` takes the power away. Never an AC cycle: the SoC hangs on the same supply.
   */
  powerOff(mode: 'soft' | 'hard', softTimeoutMs: number, signal?: AbortSignal): Promise<void>;
  /**
   * Restarts a running host at once, without taking its power away. Sent once: `unavailable` and `timeout` mean that it may have been done.
   * @throws `bad_state` when it is off, `unsupported`.
   */
  reset(signal?: AbortSignal): Promise<void>;
  /** @throws `unsupported` where the BMC cannot tell disks apart. */
  setNextBoot(target: BootTarget, signal?: AbortSignal): Promise<void>;
  inventory(signal?: AbortSignal): Promise<HostInventory>;
}
