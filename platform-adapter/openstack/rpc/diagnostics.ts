import type { Json, JsonObject } from '../../../core/units.ts';
import type { Instance } from '../../../schemas/generated/instance.ts';
import { type Primitive, sparse } from '../wire/objects.ts';

/** Version of the Diagnostics objects in every release that we know (nova.objects.diagnostics). */
const version = '1.0';

/** State of a server as nova's diagnostics name it (nova.objects.fields.InstancePowerState). */
const stateNames: Partial<Readonly<Record<Instance['state'], string>>> = {
  active: 'running',
  rescued: 'running',
  stopped: 'shutdown',
  paused: 'paused',
  suspended: 'suspended',
  error: 'crashed',
};

const stateName = ({ state }: Instance): string => stateNames[state] ?? 'pending';

/** get_diagnostics (API before 2.48): whatever the driver likes to tell. */
export function shortDiagnostics(instance: Instance): JsonObject {
  const { flavor, interfaces, volumes } = instance;
  return {
    state: stateName(instance),
    vcpus: flavor.vcpus,
    memory_mib: flavor.memory_mib,
    nics: interfaces.length,
    disks: volumes.length,
  };
}

/**
 * get_instance_diagnostics (API 2.48): a Diagnostics object; counters that the node has no part in are left out. As with nova's own drivers a config drive is one
 * of the disks.
 */
export function diagnostics(
  instance: Instance,
  { driver, configDrive }: { readonly driver: string; readonly configDrive: boolean },
): Primitive {
  const { flavor, interfaces, volumes } = instance;
  const part = (name: string, data: JsonObject): Json => sparse(name, version, data) as unknown as Json;
  const list = (name: string, entries: readonly JsonObject[]): Json => entries.map((data) => part(name, data));
  return sparse('Diagnostics', version, {
    state: stateName(instance),
    driver,
    hypervisor: null,
    hypervisor_os: null,
    uptime: null,
    config_drive: configDrive,
    num_cpus: flavor.vcpus,
    num_nics: interfaces.length,
    num_disks: volumes.length,
    cpu_details: [],
    nic_details: list(
      'NicDiagnostics',
      interfaces.map(({ mac }) => ({ mac_address: mac })),
    ),
    disk_details: [],
    memory_details: part('MemoryDiagnostics', { maximum: flavor.memory_mib, used: null }),
  });
}
