import type { Json, JsonObject } from '../../../core/units.ts';
import type { Conductor } from './conductor.ts';
import { isNova } from './nova-errors.ts';
import {
  flag,
  isPrimitive,
  nullable,
  objectOf,
  objectsOf,
  orElse,
  type Read,
  real,
  sparse,
  text,
  whole,
} from './objects.ts';
import { hasComputeIds, versionOf } from './releases.ts';

const binary = 'nova-compute';

const serviceFields = {
  id: whole,
  uuid: nullable(text),
  host: text,
  report_count: orElse(whole, 0),
  disabled: orElse(flag, false),
  disabled_reason: nullable(text),
  forced_down: orElse(flag, false),
  last_seen_up: nullable(text),
  version: orElse(whole, 0),
};

/** The record of a compute service (Service 1.22). */
export type ServiceRecord = Read<typeof serviceFields>;
const readService = objectOf('Service', serviceFields);

const nodeFields = {
  id: whole,
  uuid: text,
  service_id: nullable(whole),
  host: nullable(text),
  hypervisor_hostname: nullable(text),
  hypervisor_type: text,
  hypervisor_version: whole,
  vcpus: whole,
  memory_mb: whole,
  local_gb: whole,
  vcpus_used: whole,
  memory_mb_used: whole,
  local_gb_used: whole,
  free_ram_mb: nullable(whole),
  free_disk_gb: nullable(whole),
  running_vms: nullable(whole),
  current_workload: nullable(whole),
  host_ip: nullable(text),
  cpu_allocation_ratio: nullable(real),
  ram_allocation_ratio: nullable(real),
  disk_allocation_ratio: nullable(real),
};

/** The record of a node (ComputeNode 1.19). Its uuid is that of its resource provider. */
export type ComputeNodeRecord = Read<typeof nodeFields>;

/** Reads a ComputeNode. @throws `invalid`. */
export const readComputeNode = objectOf('ComputeNode', nodeFields);

/** The lowest version of the services of a kind in the cell, of compute services unless told; 0 where there is none. */
export async function minimumServiceVersion(
  conductor: Conductor,
  kind: 'nova-compute' | 'nova-conductor' = binary,
): Promise<number> {
  return whole(await conductor.classAction('Service', 'get_minimum_version', [kind]), 'service.minimum_version');
}

/** The host's compute service; undefined where it has none. */
export async function getService(conductor: Conductor, host: string): Promise<ServiceRecord | undefined> {
  const answer = await conductor.classAction('Service', 'get_by_host_and_binary', [host, binary]);
  return isPrimitive(answer) ? readService(answer, 'service') : undefined;
}

/** nova's service_down_time. */
const serviceDownMs = 60_000;

/**
 * Whether a host is up as nova means it: it reported in the last minute. The minute is counted back from our own last report, since both times are of
 * nova's clock and not of ours.
 */
export async function isServiceUp(conductor: Conductor, host: string, ours: string): Promise<boolean> {
  const service = await getService(conductor, host);
  if (service === undefined || service.forced_down) return false;
  if (host === ours) return true;
  const own = await getService(conductor, ours);
  if (service.last_seen_up === null || own?.last_seen_up == null) return service.last_seen_up !== null;
  return Date.parse(own.last_seen_up) - Date.parse(service.last_seen_up) <= serviceDownMs;
}

/** As getService, the way that nova's resource report asks. @throws `not_found` (ComputeHostNotFound). */
export async function getComputeService(conductor: Conductor, host: string): Promise<ServiceRecord> {
  return readService(await conductor.classAction('Service', 'get_by_compute_host', [host]), 'service');
}

/** Makes the host's compute service: it counts as up from now on. @throws `conflict` (ServiceBinaryExists). */
export async function createService(conductor: Conductor, host: string): Promise<ServiceRecord> {
  const version = versionOf(conductor.release, 'Service');
  const values = { host, binary, topic: 'compute', report_count: 0, version: conductor.release.serviceVersion };
  const { updates } = await conductor.objectAction(sparse('Service', version, {}, values), 'create');
  return readService(sparse('Service', version, { ...values, ...updates }), 'service');
}

/** Saves these fields of a service. @throws `not_found` (it was deleted). */
export async function saveService(
  conductor: Conductor,
  service: Pick<ServiceRecord, 'id' | 'host'>,
  changes: JsonObject,
): Promise<void> {
  const identity = { id: service.id, host: service.host, binary };
  await conductor.objectAction(sparse('Service', versionOf(conductor.release, 'Service'), identity, changes), 'save');
}

/** The record of a host's node; undefined where there is none. */
export async function getComputeNode(
  conductor: Conductor,
  host: string,
  node: string,
): Promise<ComputeNodeRecord | undefined> {
  try {
    const answer = await conductor.classAction('ComputeNode', 'get_by_host_and_nodename', [host, node]);
    return readComputeNode(answer, 'compute_node');
  } catch (error) {
    if (isNova(error, 'ComputeHostNotFound')) return undefined;
    throw error;
  }
}

/**
 * What a save that names a node has to say besides where the release asks for it: the id of the node's record, as `field`; null with no node. Empty where
 * the save names none.
 */
export async function computeId(
  conductor: Conductor,
  field: 'compute_id' | 'dest_compute_id',
  host: Json | undefined,
  node: Json | undefined,
): Promise<JsonObject> {
  if (node === undefined || !hasComputeIds(conductor.release)) return {};
  if (typeof host !== 'string' || typeof node !== 'string') return { [field]: null };
  return { [field]: (await getComputeNode(conductor, host, node))?.id ?? null };
}

/** All nodes of a host. */
export async function listComputeNodes(conductor: Conductor, host: string): Promise<readonly ComputeNodeRecord[]> {
  try {
    const answer = await conductor.classAction('ComputeNodeList', 'get_all_by_host', [host], { use_slave: true });
    return objectsOf('ComputeNodeList', readComputeNode)(answer, 'compute_nodes');
  } catch (error) {
    if (isNova(error, 'ComputeHostNotFound')) return [];
    throw error;
  }
}

/** Makes a node's record. Object fields are given as primitives. */
export async function createComputeNode(conductor: Conductor, values: JsonObject): Promise<ComputeNodeRecord> {
  const version = versionOf(conductor.release, 'ComputeNode');
  const { updates } = await conductor.objectAction(sparse('ComputeNode', version, {}, values), 'create');
  return readComputeNode(sparse('ComputeNode', version, { ...values, ...updates }), 'compute_node');
}

/** Saves these fields of a node's record. @throws `not_found` (it was deleted). */
export async function saveComputeNode(
  conductor: Conductor,
  node: { readonly id: number; readonly uuid: string },
  changes: JsonObject,
): Promise<void> {
  const identity = { id: node.id, uuid: node.uuid };
  await conductor.objectAction(
    sparse('ComputeNode', versionOf(conductor.release, 'ComputeNode'), identity, changes),
    'save',
  );
}

/** Removes a node's record. */
export async function destroyComputeNode(conductor: Conductor, node: ComputeNodeRecord): Promise<void> {
  const identity = { id: node.id, uuid: node.uuid };
  await conductor.objectAction(sparse('ComputeNode', versionOf(conductor.release, 'ComputeNode'), identity), 'destroy');
}

/** What the scheduler wants to know of the kind of guests: `hv_type` is `baremetal` or `kvm` (HVSpec 1.2). */
export function hypervisorSpec(conductor: Conductor, arch: string, hvType: string): Json {
  const version = versionOf(conductor.release, 'HVSpec');
  return sparse('HVSpec', version, {}, { arch, hv_type: hvType, vm_mode: 'hvm' }) as unknown as Json;
}
