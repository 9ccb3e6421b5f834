import type { BdfState, FunctionClass, FunctionType } from '../../core/ports/snic-controller.ts';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';

/** What a backend can do, so that a request for more is refused before anything is touched. */
export interface BackendCapabilities {
  /** Features that a function of this type and class may be asked for; a pair that is absent can't be made at all. */
  readonly kinds: readonly {
    readonly type: FunctionType;
    readonly class: FunctionClass;
    readonly features: readonly string[];
  }[];
  /** `made`: create_vf makes one. `claimed`: the host brings VFs into being, and create_vf takes a free one. */
  readonly vfs: 'made' | 'claimed' | 'none';
  /** `fixed`: known when the function is made and for good. `host`: the host chooses it, late, and may choose another. */
  readonly bdf: 'fixed' | 'host';
  /** What `set_function` may change, and when. */
  readonly set: {
    readonly mac: 'always' | 'unplugged' | 'never';
    readonly link: boolean;
    readonly rate: boolean;
  };
}

/** The card, in numbers. */
export interface BackendCard {
  /** As the vendor prints it: `BF2`, `virtual`. */
  readonly model: string;
  readonly serialNumber: string | null;
  /** Functions there may be, and those still free, foreign ones counted. */
  readonly capacity: number;
  readonly free: number;
  /** Whether the card keeps the host away from its own configuration; null where it can't be told. */
  readonly hostRestricted: boolean | null;
}

/** What to make. */
export interface BackendSpec {
  readonly id: FunctionId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  /** Network functions only. The service has chosen one when the caller did not. */
  readonly mac: Mac | null;
  readonly features: readonly string[];
  /** A VF's PF, as its reservation; null for a PF. */
  readonly parent: JsonObject | null;
}

/** A function as the hardware has it. */
export interface BackendFunction {
  /** The hardware's own stable name for it, unique on the card: a root port, a VUID. */
  readonly key: string;
  /** Whose id the hardware itself bears witness to (a name, an alias, a subsystem's NQN); null where it can't or is another's. */
  readonly id: FunctionId | null;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  readonly mac: Mac | null;
  /** Address on the host, normalised to `0000:xx:xx.x`; null until it is known. */
  readonly bdf: string | null;
  readonly bdfState: BdfState;
  /** Whether the host can see it. */
  readonly plugged: boolean;
  /** An unplug was asked for that the host has not acknowledged. */
  readonly unplugPending: boolean;
  readonly representor: string | null;
  readonly vuid: string | null;
}

/** What `set_function` changes; what is absent stays. Rates in bits per second, 0 is no limit. */
export interface BackendChange {
  readonly mac?: Mac;
  readonly link?: 'up' | 'down';
  readonly rateBitsPerSecond?: number;
}

/**
 * A card, or what stands in for one. The service journals every call before it is made and calls it again after a crash, so each
 * is an ensure: done twice it answers the same, and done half it is finished. It keeps nothing in memory that it needs.
 *
 * A *reservation* is the backend's own durable note on a function (a slot, an SF number, the VUIDs that were there before): what it
 * needs to find again what it made although nothing else was written down. The service stores it and hands it back.
 *
 * All reject with DpuError: `unavailable` (the hardware's program is away), `timeout`, `hardware`, and what each method names.
 */
export interface Backend {
  readonly name: 'sim' | 'virtual' | 'bluefield';
  /** Probed once at start. */
  capabilities(signal?: AbortSignal): Promise<BackendCapabilities>;
  describe(signal?: AbortSignal): Promise<BackendCard>;
  /** Chooses what the function will be, and touches nothing. `taken`: the reservations of all other functions. @throws `exhausted`. */
  reserve(spec: BackendSpec, taken: readonly JsonObject[], signal?: AbortSignal): Promise<JsonObject>;
  /**
   * Makes the function, hidden from the host, or finds what an earlier call made. `reservation` in the answer replaces the stored one (a VUID that
   * the hardware gave). `taken`: the reservations of all other functions, so that what nobody wrote down is told from theirs.
   * @throws `exhausted`, `unsupported`, `conflict` (the place is another's).
   */
  make(
    spec: BackendSpec,
    reservation: JsonObject,
    signal?: AbortSignal,
    taken?: readonly JsonObject[],
  ): Promise<{ readonly reservation: JsonObject; readonly state: BackendFunction }>;
  /** Shows it to the host. A storage function needs its back end to be served by then. @throws `not_found`, `unavailable`. */
  plug(spec: BackendSpec, reservation: JsonObject, signal?: AbortSignal): Promise<BackendFunction>;
  /**
   * Takes it from the host's sight: a running host must acknowledge within `deadlineMs`; at once while it is off. One that is not plugged or not
   * there is fine. `force`: take it away without the host's consent where the hardware can. @throws `busy`.
   */
  unplug(
    spec: BackendSpec,
    reservation: JsonObject,
    options: { readonly deadlineMs: number; readonly force: boolean },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Gives it back to the card. One that is not there is fine. `taken` as in `make`. @throws `bad_state` while it is plugged. */
  destroy(
    spec: BackendSpec,
    reservation: JsonObject,
    signal?: AbortSignal,
    taken?: readonly JsonObject[],
  ): Promise<void>;
  /** @throws `unsupported`, `bad_state` (not while it is plugged). */
  change(spec: BackendSpec, reservation: JsonObject, change: BackendChange, signal?: AbortSignal): Promise<void>;
  /** All functions that the hardware itself shows, ours and others'; one that is made but leaves no trace until it is plugged may be absent. */
  list(signal?: AbortSignal): Promise<readonly BackendFunction[]>;
  /** The key that `list` shows the function of a reservation under; null until the hardware named it. */
  keyOf(reservation: JsonObject): string | null;
  /** Calls back whenever the hardware may have changed by itself (the host enumerated, a device went away). Answers the stop. */
  watch(changed: () => void): () => void;
  close(): Promise<void>;
}
