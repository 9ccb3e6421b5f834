/** What the host boots from: one state, whichever protocol set it. */
import type { HostDevice } from './devices.ts';

/** Values of BootSourceOverrideTarget that mean something here (schema ComputerSystem, BootSource). */
export const BOOT_TARGETS = ['None', 'Pxe', 'Hdd', 'Cd', 'UsbCd', 'BiosSetup', 'UefiBootNext'] as const;

/** One of them. */
export type BootTargetName = (typeof BOOT_TARGETS)[number];

/** The boot override and order (schema ComputerSystem, Boot). */
export interface BootSettings {
  readonly enabled: 'Disabled' | 'Once' | 'Continuous';
  readonly target: BootTargetName;
  readonly mode: 'UEFI' | 'Legacy';
  /** Reference of the boot option that `UefiBootNext` takes. */
  readonly next: string | null;
  /** References, first first; what is not named follows in the order of `bootOrder`. */
  readonly order: readonly string[];
}

/** A host that nobody has told anything. */
export const DEFAULT_BOOT: BootSettings = {
  enabled: 'Disabled',
  target: 'None',
  mode: 'Legacy',
  next: null,
  order: [],
};

/** What a boot option is named by: the same as long as the device is in its root port. */
export function bootReference(device: HostDevice): string {
  return `Boot${(device.port + 1).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Boot indexes that the BMC gives begin here: a smaller one is of whoever plugged the device, who wants it before all others. */
export const FIRST_INDEX = 100;

/** Devices that can be booted from: those just plugged with a boot index, those of the stored order, new disks, new NICs. */
export function bootOrder(settings: BootSettings, devices: readonly HostDevice[]): readonly HostDevice[] {
  const rank = (device: HostDevice): readonly number[] => {
    const stored = settings.order.indexOf(bootReference(device));
    const index = device.bootIndex ?? -1;
    return [
      index < 0 ? FIRST_INDEX : Math.min(index, FIRST_INDEX),
      stored < 0 ? settings.order.length : stored,
      device.kind === 'disk' ? 0 : 1,
      device.port,
    ];
  };
  return devices
    .filter((device) => device.bootIndex !== null)
    .map((device) => ({ device, rank: rank(device) }))
    .sort((a, b) => compare(a.rank, b.rank))
    .map(({ device }) => device);
}

/** The order of the next boot: the override's devices before all others. */
export function nextBootOrder(settings: BootSettings, devices: readonly HostDevice[]): readonly HostDevice[] {
  const usual = bootOrder(settings, devices);
  if (settings.enabled === 'Disabled') return usual;
  const first = usual.filter((device) => isTarget(settings, device));
  return [...first, ...usual.filter((device) => !first.includes(device))];
}

/** The settings after a boot that an override was for. */
export function afterBoot(settings: BootSettings): BootSettings {
  return settings.enabled === 'Once' ? { ...settings, enabled: 'Disabled', target: 'None', next: null } : settings;
}

function isTarget(settings: BootSettings, device: HostDevice): boolean {
  if (settings.target === 'Pxe') return device.kind === 'nic';
  if (settings.target === 'Hdd') return device.kind === 'disk';
  return settings.target === 'UefiBootNext' && bootReference(device) === settings.next;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) if (value !== b[at]) return value - (b[at] ?? 0);
  return 0;
}
