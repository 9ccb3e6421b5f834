import type { RedfishClient } from './client.ts';
import { isObject, objectAt, textOf } from './json.ts';
import type { CallOptions } from './signals.ts';

/** How a service differs from the standard, or from other services where the standard leaves a choice. */
export type Quirks = {
  /** `If-Match` of a PATCH: the resource's ETag when it has one; `*` when it has none; or never. */
  readonly ifMatch: 'when-known' | 'always' | 'never';
  /** Reset types to take as offered when the service publishes no allowable values. */
  readonly assumedResetTypes: readonly string[];
  /** Standard reset type -> what this service calls it. */
  readonly resetSpelling: Readonly<Record<string, string>>;
  /** A boot override needs BootSourceOverrideMode in the same request. */
  readonly bootModeRequired: boolean;
  /** Boot target -> what this service calls it. */
  readonly bootTargetSpelling: Readonly<Record<string, string>>;
  /** Paths below the Bios resource to try when it has no `@Redfish.Settings`. */
  readonly biosSettings: readonly string[];
};

/** A row of the table: what it applies to, what it changes, and where that is known from. */
export type QuirkRow = {
  readonly vendor?: RegExp;
  readonly product?: RegExp;
  readonly set: Partial<Quirks>;
  readonly source: string;
};

/** What the standard says. */
export const STANDARD: Quirks = {
  ifMatch: 'when-known',
  assumedResetTypes: ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart'],
  resetSpelling: {},
  bootModeRequired: false,
  bootTargetSpelling: {},
  biosSettings: ['Settings'],
};

/** The package's own rows. None was met on real hardware by its tests; `source` says who reports it. */
export const QUIRKS: readonly QuirkRow[] = [
  {
    vendor: /^hpe?$/i,
    set: { biosSettings: ['settings', 'Settings'] },
    source: "HPE iLO documentation: the Bios resource's settings are at Bios/settings",
  },
  {
    vendor: /^lenovo/i,
    set: { biosSettings: ['Pending', 'Settings'] },
    source: 'Lenovo XCC documentation: pending BIOS attributes are at Bios/Pending',
  },
  {
    vendor: /^(ami|american megatrends|nvidia)/i,
    set: { ifMatch: 'always', biosSettings: ['SD', 'Settings'] },
    source: 'AMI MegaRAC: future settings are at Bios/SD, a PATCH without If-Match answers 428',
  },
  {
    vendor: /^super\s?micro/i,
    set: { bootTargetSpelling: { Cd: 'UsbCd' }, bootModeRequired: true },
    source: 'reports on Supermicro X11 and X12: virtual media boots as UsbCd; an override without mode is dropped',
  },
];

/** The standard's behaviour with every row applied that fits; rows that come first win. */
export function quirksFor(
  identity: { readonly vendor?: string | undefined; readonly product?: string | undefined },
  rows: readonly QuirkRow[],
): Quirks {
  const fits = (pattern: RegExp | undefined, value: string | undefined) =>
    pattern === undefined || (value !== undefined && value.search(pattern) >= 0);
  const fitting = rows.filter((row) => fits(row.vendor, identity.vendor) && fits(row.product, identity.product));
  return Object.assign({}, STANDARD, ...fitting.toReversed().map((row) => row.set));
}

const known = new WeakMap<RedfishClient, Quirks>();

/** The quirks of a service by the root's Vendor (else the first key of its Oem) and Product; read once for each client. */
export async function quirksOf(client: RedfishClient, options: CallOptions = {}): Promise<Quirks> {
  const cached = known.get(client);
  if (cached !== undefined) return cached;
  const { body } = await client.get('/redfish/v1/', options);
  const oem = Object.entries(objectAt(body, 'Oem')).find(([, value]) => isObject(value))?.[0];
  const identity = { vendor: textOf(body, 'Vendor') ?? oem, product: textOf(body, 'Product') };
  const found = quirksFor(identity, [...client.settings.quirks, ...QUIRKS]);
  known.set(client, found);
  return found;
}
