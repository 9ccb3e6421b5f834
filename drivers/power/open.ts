import { readFileSync } from 'node:fs';
import { createIpmiClient } from 'node-ipmi';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { HostBios } from '../../core/ports/host-bios.ts';
import type { HostConsole } from '../../core/ports/host-console.ts';
import type { Log } from '../../core/ports/log.ts';
import type { PowerController } from '../../core/ports/power-controller.ts';
import { redfishBios } from './bios.ts';
import { ipmiConsole } from './console.ts';
import { createBmcPower } from './controller.ts';
import { holdOff } from './hold-off.ts';
import { ipmiProtocol } from './ipmi.ts';
import type { BmcProtocol, PartialInventory } from './protocol.ts';
import { redfishProtocol } from './redfish.ts';
import { checkHost, type HostSettings } from './settings.ts';
import { smbiosInventory } from './smbios.ts';

/** A host whose BMC is driven. */
export interface BmcHost {
  readonly power: PowerController;
  /** null without Redfish: IPMI has none. */
  readonly bios: HostBios | null;
  /** null where the BMC has none that we speak. */
  readonly console: HostConsole | null;
  close(): Promise<void>;
}

/** The host's BMC as the configuration describes it; nothing is sent yet. @throws DpuError `invalid`, `not_found`. */
export function openBmcHost(parts: {
  readonly host: HostSettings;
  readonly password: string;
  readonly clock: Clock;
  readonly log: Log;
}): BmcHost {
  const { host, password, clock, log } = parts;
  checkHost(host);
  const username = host.username ?? '';
  const callMs = host.call_timeout_s * 1000;
  const ipmi = host.ipmi
    ? createIpmiClient({
        host: host.ipmi.address,
        port: host.ipmi.port,
        username,
        password,
        // 17 and 3 alone: suite 0 lets anybody in with any password (IPMI 2.0 22.15.2).
        cipherSuites: host.ipmi.cipher_suites,
        // Enough for chassis control and the console (IPMI 2.0 appendix G).
        privilege: 'operator',
        timeoutMs: callMs,
      })
    : undefined;
  const redfish = host.redfish
    ? redfishProtocol({
        url: host.redfish.url,
        auth: { kind: 'auto', username, password },
        tls: tlsOf(host.redfish),
        ...(host.redfish.system_id === undefined ? {} : { system: { id: host.redfish.system_id } }),
        callMs,
      })
    : undefined;
  const [first, ...others] = [redfish, ipmi && ipmiProtocol(ipmi, callMs)].filter(
    (one): one is BmcProtocol => one !== undefined,
  );
  if (first === undefined) throw new DpuError('internal', 'a BMC without a protocol');
  const power = createBmcPower({
    protocols: [holdOff(first, clock), ...others.map((one) => holdOff(one, clock))],
    known: knownOf(host),
    ...(host.smbios_file === undefined ? {} : { fallback: readSmbios(host.smbios_file) }),
    clock,
    log,
    powerMs: host.power_timeout_s * 1000,
  });
  return {
    power,
    bios: redfish ? heldOff(redfishBios(redfish), power) : null,
    console: ipmi ? ipmiConsole(ipmi, callMs) : null,
    async close() {
      await Promise.all([redfish?.close(), ipmi?.close()]);
    },
  };
}

/** BIOS settings, asked for behind a question that a BMC which refused our credentials is not asked (`holdOff`). */
function heldOff(bios: HostBios, power: PowerController): HostBios {
  return {
    async read(signal) {
      await power.getPower(signal);
      return await bios.read(signal);
    },
    async write(settings, signal) {
      await power.getPower(signal);
      await bios.write(settings, signal);
    },
  };
}

function tlsOf({ fingerprint, ca_file: file }: NonNullable<HostSettings['redfish']>) {
  if (fingerprint !== undefined) return { fingerprints: [fingerprint] };
  if (file === undefined) return {};
  try {
    return { ca: readFileSync(file, 'utf8') };
  } catch (cause) {
    throw new DpuError('not_found', `${file} can't be read`, { field: 'host.redfish.ca_file', cause });
  }
}

function readSmbios(file: string): PartialInventory {
  const field = 'host.smbios_file';
  try {
    return smbiosInventory(readFileSync(file));
  } catch (cause) {
    if (cause instanceof DpuError) throw new DpuError('invalid', `${file}: ${cause.message}`, { field, cause });
    throw new DpuError('not_found', `${file} can't be read`, { field, cause });
  }
}

function knownOf({ hardware }: HostSettings): PartialInventory {
  return { cpus: hardware.cpus, memoryMib: hardware.memory_mib, serialNumber: hardware.serial_number };
}
