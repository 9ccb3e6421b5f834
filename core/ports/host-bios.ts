/** A BIOS setting's value (Redfish schema Bios, Attributes). */
export type BiosValue = string | number | boolean;

/** BIOS settings by the names that the BMC has for them. */
export type BiosSettings = Readonly<Record<string, BiosValue>>;

/** BIOS settings as they are, and as they will be after the host's next reset. */
export interface BiosReading {
  readonly now: BiosSettings;
  readonly next: BiosSettings;
  /** Names that can't be set; as far as the BMC tells. */
  readonly readOnly: ReadonlySet<string>;
}

/** The host's BIOS settings, through its BMC. All reject with DpuError as PowerController does, and `unsupported` where the BMC does not show them. */
export interface HostBios {
  read(signal?: AbortSignal): Promise<BiosReading>;
  /** Asks for other values; they take effect at the host's next reset. What is not named stays. @throws also `hardware` (refused). */
  write(settings: BiosSettings, signal?: AbortSignal): Promise<void>;
}

/** What came of setting BIOS settings back. */
export interface BiosRestored {
  /** Names that were set back. */
  readonly restored: readonly string[];
  /** Names that still differ. */
  readonly left: readonly string[];
}

/** Keeps the BIOS settings that a tenant may change: what plans ask. */
export interface BiosGuard {
  /** Looks for settings that would cut the SoC off or keep the host from its disks. @throws `bad_state`, naming them. */
  check(signal: AbortSignal): Promise<void>;
  /**
   * Sets back what differs from the baseline. What can't be done now is done later, and shown until then; never rejects
   * but for the signal.
   */
  restore(signal: AbortSignal): Promise<BiosRestored>;
}
