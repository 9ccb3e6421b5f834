import type { Json, JsonObject } from '../../../core/units.ts';
import type { Instance } from '../../../schemas/generated/instance.ts';
import type { Diagnostics as Counters } from '../../../schemas/generated/rest.ts';
import { novaError } from '../wire/nova-errors.ts';
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

const nsInMs = 1_000_000;

/** Diagnostics are of what runs. @throws InstanceInvalidState as nova's class. */
export function requireRunning(instance: Instance): void {
  const state = stateName(instance);
  if (state === 'running') return;
  throw novaError('InstanceInvalidState', {
    attr: 'power state',
    instance_uuid: instance.uuid,
    state,
    method: 'get_diagnostics',
  });
}

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

/** What is told besides of a server's machine. */
export interface DiagnosticsFacts {
  /** nova's name of the driver. */
  readonly driver: string;
  readonly configDrive: boolean;
  /** What its machine used; null: the node has no part in it. */
  readonly counters: Counters | null;
}

/**
 * get_instance_diagnostics (API 2.48): a Diagnostics object. What nobody counts is null. As with nova's own drivers a config drive is one of the disks. The time
 * of its CPUs is known of all together only.
 */
export function diagnostics(instance: Instance, { driver, configDrive, counters }: DiagnosticsFacts): Primitive {
  const { flavor, interfaces, volumes } = instance;
  const part = (name: string, data: JsonObject): Json => sparse(name, version, data) as unknown as Json;
  const list = (name: string, entries: readonly JsonObject[]): Json => entries.map((data) => part(name, data));
  const cpuTime = counters !== null && flavor.vcpus === 1 ? counters.cpu_time_ms * nsInMs : null;
  const cpus = Array.from({ length: flavor.vcpus }, (_, id) => ({ id, time: cpuTime, utilisation: null }));
  const nics = interfaces.map(({ mac }) =>
    nicDetails(
      mac,
      counters?.nics.find((each) => each.mac === mac),
    ),
  );
  return sparse('Diagnostics', version, {
    state: stateName(instance),
    driver,
    hypervisor: null,
    hypervisor_os: null,
    uptime: counters?.uptime_s ?? null,
    config_drive: configDrive,
    num_cpus: flavor.vcpus,
    num_nics: interfaces.length,
    num_disks: volumes.length,
    cpu_details: list('CpuDiagnostics', counters === null ? [] : cpus),
    nic_details: list('NicDiagnostics', nics),
    disk_details: list('DiskDiagnostics', counters?.disks.map(diskDetails) ?? []),
    memory_details: part('MemoryDiagnostics', { maximum: flavor.memory_mib, used: counters?.memory_mib ?? null }),
  });
}

function nicDetails(mac: string | null, counters: Counters['nics'][number] | undefined): JsonObject {
  return {
    mac_address: mac,
    rx_octets: counters?.received_bytes ?? null,
    rx_packets: counters?.received_packets ?? null,
    rx_errors: null,
    rx_drop: null,
    rx_rate: null,
    tx_octets: counters?.sent_bytes ?? null,
    tx_packets: counters?.sent_packets ?? null,
    tx_errors: null,
    tx_drop: null,
    tx_rate: null,
  };
}

function diskDetails(counters: Counters['disks'][number]): JsonObject {
  return {
    read_bytes: counters.read_bytes,
    read_requests: counters.read_requests,
    write_bytes: counters.written_bytes,
    write_requests: counters.write_requests,
    errors_count: null,
  };
}
