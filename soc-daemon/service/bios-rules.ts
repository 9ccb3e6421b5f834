import type { BiosReading, BiosSettings, BiosValue } from '../../core/ports/host-bios.ts';

/** Settings that matter before a build, by their names at several makers. */
interface BiosRule {
  /** `*` stands for any characters, `#` for a number. */
  readonly names: readonly string[];
  /** Values that are fine; null: the baseline's alone. */
  readonly allowed: readonly BiosValue[] | null;
  readonly why: string;
}

/** A setting that would hurt after the next reset. */
export interface BiosHazard {
  readonly name: string;
  readonly next: BiosValue;
  readonly allowed: readonly BiosValue[];
  readonly why: string;
}

/** A setting that is not as in the baseline. */
export interface BiosDifference {
  readonly name: string;
  readonly baseline: BiosValue;
  readonly now: BiosValue;
  readonly next: BiosValue;
}

const enabled = ['Enabled', 'Enable', 'On', true] as const;

/**
 * What could cut the SoC off, or keep the host from the card's disks. Names are those of Dell, HPE, Lenovo, Supermicro
 * and of the virtual DPU, as their attribute registries have them. A value that the baseline has is fine too, since an operator
 * may have switched off slots that are not the card's.
 */
const rules: readonly BiosRule[] = [
  {
    names: [
      'SriovGlobalEnable',
      'Sriov',
      'SriovEnabled',
      'DevicesandIOPorts_SRIOV',
      'SR-IOVSupport*',
      'SR_IOVSupport*',
    ],
    allowed: enabled,
    why: "SR-IOV is off: the host does not see the card's functions",
  },
  { names: ['Slot#', 'PciSlot#Enable'], allowed: [...enabled, 'Auto'], why: 'a slot or its boot driver is off' },
  { names: ['SlotPower', 'SlotPower#'], allowed: enabled, why: 'a slot has no power' },
  {
    names: ['OptionRoms', 'PciSlot#OptionROM', '*SLOT*OPROM*', 'EnableDisableAdapterOptionROMSupport_*'],
    allowed: [...enabled, 'EFI', 'UEFI', 'Auto'],
    why: "option ROMs are off: the firmware can't start from the card's disks",
  },
  {
    names: ['PowerCycleRequest'],
    allowed: ['None'],
    why: 'the next start would take the mains away, and the card hangs on it',
  },
  {
    names: [
      'BootMode',
      'BootModes_SystemBootMode',
      'BootModeSelect*',
      'SecureBoot',
      'SecureBootStatus',
      'SecureBootEnable*',
    ],
    allowed: null,
    why: 'the host starts in another way than it was set up for',
  },
  {
    names: ['SetBootOrderEn', 'SetBootOrderDis', 'HddSeq', 'UefiBootSeq', 'BootModes_PreventOSChangesToBootOrder'],
    allowed: null,
    why: 'the boot order is another',
  },
];

/** Whether a setting has a name of this pattern: `*` for any characters, `#` for a number. */
export function hasName(pattern: string, name: string): boolean {
  if (pattern === name) return true; // Supermicro has names with `#` in them
  const source = pattern
    .replace(/[.+?^${}()|[\]\\/-]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('#', '\\d+');
  return new RegExp(`^${source}$`).test(name);
}

/** Settings that would hurt: against the operator's own `required`, else against the built-in table. */
export function hazardsOf(
  { next }: BiosReading,
  baseline: BiosSettings | null,
  required: Readonly<Record<string, readonly BiosValue[]>>,
): readonly BiosHazard[] {
  return Object.entries(next).flatMap(([name, value]): readonly BiosHazard[] => {
    const own = Object.entries(required).find(([pattern]) => hasName(pattern, name));
    if (own) {
      const [, allowed] = own;
      if (allowed.length === 0 || allowed.includes(value)) return [];
      return [{ name, next: value, allowed: [...allowed], why: 'host.bios.required wants another value' }];
    }
    const rule = rules.find(({ names }) => names.some((pattern) => hasName(pattern, name)));
    const usual = baseline?.[name];
    if (!rule || value === usual || rule.allowed?.includes(value)) return [];
    if (rule.allowed === null && usual === undefined) return [];
    return [
      { name, next: value, allowed: [...(rule.allowed ?? []), ...(usual === undefined ? [] : [usual])], why: rule.why },
    ];
  });
}

/** Settings that are not, or after the next reset will not be, as in the baseline. What the BMC does not have is no difference. */
export function differencesOf({ now, next }: BiosReading, baseline: BiosSettings): readonly BiosDifference[] {
  return Object.entries(baseline).flatMap(([name, wanted]): readonly BiosDifference[] => {
    const is = now[name];
    const will = next[name];
    if (is === undefined || will === undefined || (is === wanted && will === wanted)) return [];
    return [{ name, baseline: wanted, now: is, next: will }];
  });
}
