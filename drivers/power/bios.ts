import { readBios, readBiosRegistry, setBios } from 'redfish-client';
import type { BiosReading, BiosSettings, BiosValue, HostBios } from '../../core/ports/host-bios.ts';
import type { RedfishHost } from './redfish.ts';

/** BIOS settings by Redfish (schema Bios): what is asked for goes into the settings resource, and takes effect at a reset (DSP0266 "Settings resource"). */
export function redfishBios(host: RedfishHost): HostBios {
  /** Registry -> names that can't be set. A registry does not change while the BIOS is the same. */
  const known = new Map<string, ReadonlySet<string>>();
  return {
    read: (signal) =>
      host.call('reading BIOS settings by Redfish', signal, async (client, system, limits): Promise<BiosReading> => {
        const bios = await readBios(client, system, limits);
        const { registry = '' } = bios;
        const readOnly =
          known.get(registry) ?? new Set(registry === '' ? [] : await readBiosRegistry(client, registry, limits));
        known.set(registry, readOnly);
        const now = plain(bios.attributes);
        return { now, next: { ...now, ...plain(bios.pending) }, readOnly };
      }),
    write: (settings, signal) =>
      host.call('setting BIOS settings by Redfish', signal, async (client, system, limits) => {
        const { applyTimes } = await readBios(client, system, limits);
        const applyTime = applyTimes.includes('OnReset') ? 'OnReset' : undefined;
        await setBios(client, system, settings, { ...limits, applyTime });
      }),
  };
}

/** Without passwords, which a service shows as null (DSP0268 "AttributeRegistry", type Password). */
function plain(attributes: Readonly<Record<string, BiosValue | null>>): BiosSettings {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, BiosValue] => entry[1] !== null),
  );
}
