import type { FunctionId, Mac } from '../units.ts';
import type { OwnershipMark } from './ownership.ts';

/** What kind of PCIe function. */
export type FunctionType = 'PF' | 'VF';
/** What the host sees it as. */
export type FunctionClass = 'virtio-net' | 'virtio-blk' | 'nvme';
/** How sure a BDF is: enumerated by the host, not yet, not to be known, or another than before. */
export type BdfState = 'assigned' | 'pending' | 'unknown' | 'changed';

/** What to make. The same id with another spec is `conflict`. */
export interface FunctionSpec {
  readonly id: FunctionId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  /** Network functions only; null lets the card choose. */
  readonly mac: Mac | null;
  readonly features: readonly string[];
  readonly mark: OwnershipMark;
}

/** A function as the card has it. */
export interface FunctionState {
  readonly id: FunctionId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  readonly mac: Mac | null;
  readonly features: readonly string[];
  /** Address on the host, `0000:xx:xx.x`; null until the host enumerated it. */
  readonly bdf: string | null;
  readonly bdfState: BdfState;
  /** Whether the host can see it. */
  readonly plugged: boolean;
  /** Name of its representor on the SoC; null for storage functions. */
  readonly representor: string | null;
  /** The card's own stable name for it, where it has one. */
  readonly vuid: string | null;
  /** null: not made by us; never touched. */
  readonly mark: OwnershipMark | null;
}

/** The card. */
export interface CardDescription {
  /** As the vendor prints it: `BF2`. */
  readonly model: string;
  /** Functions there may be, and those still free. */
  readonly capacity: number;
  readonly free: number;
  /** Whether the card keeps the host away from its own configuration (`mlxprivhost`); null where it can't be told. */
  readonly hostRestricted: boolean | null;
}

/** How to take a function from the host's sight. */
export interface UnplugOptions {
  /** How long the host has to release it, in milliseconds. */
  readonly deadlineMs: number;
}

/**
 * The card. Making a function and showing it to the host are two things: ensure (unplugged), bind its representor or
 * volume, plug; and unplug, unbind, release. Every mutator is an ensure: done twice it answers the same.
 * All reject with DpuError `unavailable` when the snic-controller is away, `timeout`, `hardware`.
 */
export interface SnicController {
  describe(signal?: AbortSignal): Promise<CardDescription>;
  /** Makes the function, unplugged. @throws `conflict` (same id, other spec), `exhausted`, `unsupported`, `invalid`. */
  ensureFunction(spec: FunctionSpec, signal?: AbortSignal): Promise<FunctionState>;
  /** Shows it to the host. The BDF may still be null. @throws `not_found`. */
  plugFunction(id: FunctionId, signal?: AbortSignal): Promise<FunctionState>;
  /**
   * Takes it from the host's sight: acknowledged by a running host, at once while the host is off.
   * A function that is not there or not plugged is fine. @throws `busy` when the host did not release it in time.
   */
  unplugFunction(id: FunctionId, options: UnplugOptions, signal?: AbortSignal): Promise<void>;
  /** Gives it back to the card. One that is not there is fine. @throws `bad_state` while it is plugged. */
  releaseFunction(id: FunctionId, signal?: AbortSignal): Promise<void>;
  /** All functions, ours and others'. */
  listFunctions(signal?: AbortSignal): Promise<readonly FunctionState[]>;
}
