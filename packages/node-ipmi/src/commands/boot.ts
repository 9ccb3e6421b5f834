import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiCompletionError, IpmiFormatError } from '../errors.ts';
import { NET_FN } from '../message.ts';

/** Boot device selectors (IPMI 2.0 table 28-14, parameter 5). `none` takes the override away. */
export const BOOT_DEVICES = {
  none: 0x0,
  pxe: 0x1,
  disk: 0x2,
  'disk-safe-mode': 0x3,
  diagnostic: 0x4,
  cdrom: 0x5,
  'bios-setup': 0x6,
  'remote-floppy': 0x7,
  'remote-cdrom': 0x8,
  'primary-remote-media': 0x9,
  'remote-disk': 0xb,
  floppy: 0xf,
} as const;

/** One of them. */
export type BootDevice = keyof typeof BOOT_DEVICES;

/** The boot override as the BMC holds it (parameter 5). */
export type BootFlags = {
  /** The firmware will heed it. Some BMCs store the rest and drop this bit. */
  readonly valid: boolean;
  /** For all boots, and not the next one only. */
  readonly persistent: boolean;
  /** Boot by EFI, and not by legacy BIOS. */
  readonly efi: boolean;
  /** Undefined for a selector that the standard reserves. */
  readonly device: BootDevice | undefined;
  /** The five bytes as they came. */
  readonly raw: Buffer;
};

/** What to boot. */
export type BootOverride = {
  readonly device: BootDevice;
  /** Default false: the next boot only. */
  readonly persistent?: boolean;
  /** Default false: legacy BIOS. */
  readonly efi?: boolean;
  /**
   * By the standard a BMC forgets the override when no power command follows within 60 s (parameter 3). True asks it not to; a BMC
   * without that parameter is left as it is. Default false.
   */
  readonly keepWithoutPowerCommand?: boolean;
};

const SET = 0x08;
const GET = 0x09;
const SET_IN_PROGRESS = 0;
const FLAG_CLEARING = 3;
const BOOT_INFO_ACKNOWLEDGE = 4;
const BOOT_FLAGS = 5;

/**
 * Sets the boot override (Set System Boot Options, IPMI 2.0 28.12): marks the set as in progress where the BMC can, writes
 * parameters 4 and 5, and ends it. May be called twice.
 * @throws as `IpmiRequester.request`; `set-in-progress` when somebody else is at it
 */
export async function setBootOverride(bmc: IpmiRequester, boot: BootOverride, options?: CallOptions): Promise<void> {
  const write = (parameter: number, ...data: number[]) =>
    bmc.request({ netFn: NET_FN.chassis, command: SET, data: [parameter, ...data] }, options);
  await optional(write(SET_IN_PROGRESS, 1));
  try {
    if (boot.keepWithoutPowerCommand === true) await optional(write(FLAG_CLEARING, 0x08));
    // All parties have new boot information to look at: BIOS/POST's bit of the mask, and its bit in the data (parameter 4).
    await optional(write(BOOT_INFO_ACKNOWLEDGE, 0x01, 0x01));
    const flags = 0x80 | (boot.persistent === true ? 0x40 : 0) | (boot.efi === true ? 0x20 : 0);
    await write(BOOT_FLAGS, flags, BOOT_DEVICES[boot.device] << 2, 0, 0, 0);
  } finally {
    await optional(write(SET_IN_PROGRESS, 0));
  }
}

/** The boot override (Get System Boot Options, IPMI 2.0 28.13, parameter 5). @throws as `IpmiRequester.request`, and `malformed` */
export async function getBootFlags(bmc: IpmiRequester, options?: CallOptions): Promise<BootFlags> {
  const request = { netFn: NET_FN.chassis, command: GET, data: [BOOT_FLAGS, 0, 0] };
  const reader = new ByteReader(await bmc.request(request, options), 'Get System Boot Options');
  reader.u8();
  const parameter = reader.u8();
  if ((parameter & 0x7f) !== BOOT_FLAGS)
    throw new IpmiFormatError('Get System Boot Options: another parameter came back');
  const raw = Buffer.from(reader.bytes(5));
  const flags = raw.readUInt8(0);
  const selector = (raw.readUInt8(1) >> 2) & 0x0f;
  const known = Object.entries(BOOT_DEVICES).find(([, number]) => number === selector);
  return {
    // Bit 7 of the parameter says that the parameter as a whole is locked or invalid.
    valid: (flags & 0x80) !== 0 && (parameter & 0x80) === 0,
    persistent: (flags & 0x40) !== 0,
    efi: (flags & 0x20) !== 0,
    device: known?.[0] as BootDevice | undefined,
    raw,
  };
}

/** Parameters 0, 3 and 4 are a courtesy: a BMC that does not have them says so with these codes (28.12, table 5-2). */
const LACKING: ReadonlySet<number> = new Set([0x80, 0x82, 0xc1, 0xc7, 0xc9, 0xcc, 0xd5, 0xff]);

async function optional(work: Promise<Buffer>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof IpmiCompletionError && LACKING.has(error.completionCode))) throw error;
  }
}
