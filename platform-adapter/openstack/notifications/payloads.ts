/** What notifications say of a server, as nova's compute service says it (nova/notifications of Zed). */

import type { Json, JsonObject } from '../../../core/units.ts';
import type { NovaBlockDevice } from '../wire/block-devices.ts';
import type { RequestContext } from '../wire/context.ts';
import { exceptionOf } from '../wire/nova-errors.ts';
import { isPrimitive, novaDate, type Primitive } from '../wire/objects.ts';
import type { AuditPeriod } from './audit-period.ts';

/** Classes of versioned payloads, with the version that Zed sends. */
export const payloadVersions = {
  InstanceActionPayload: '1.8',
  InstanceActionRebuildPayload: '1.9',
  InstanceActionRescuePayload: '1.3',
  InstanceActionResizePrepPayload: '1.3',
  InstanceActionVolumePayload: '1.6',
  InstanceCreatePayload: '1.12',
  InstanceExistsPayload: '2.0',
} as const;

/** Class of a versioned payload. */
export type PayloadName = keyof typeof payloadVersions;

/** nova.objects.fields.InstancePowerState. */
const powerStates: Readonly<Record<number, string>> = {
  0: 'pending',
  1: 'running',
  3: 'paused',
  4: 'shutdown',
  6: 'crashed',
  7: 'suspended',
};

const dataOf = (value: Json | undefined): JsonObject =>
  isPrimitive(value) ? value['nova_object.data'] : ({} as JsonObject);

const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

const listOf = (value: Json | undefined): readonly JsonObject[] => (Array.isArray(value) ? value.map(objectOf) : []);

/** An address of the server with the VIF that has it. */
interface Address {
  readonly vif: JsonObject;
  readonly network: JsonObject;
  readonly ip: JsonObject;
}

/** Addresses of a server's info cache, in order. */
function addressesOf(data: JsonObject): readonly Address[] {
  const text = dataOf(data.info_cache).network_info;
  const vifs = typeof text === 'string' ? (JSON.parse(text) as Json) : [];
  return listOf(vifs).flatMap((vif) => {
    const network = objectOf(vif.network);
    return listOf(network.subnets).flatMap(({ ips }) => listOf(ips).map((ip) => ({ vif, network, ip })));
  });
}

/** As nova's null_safe_isotime. */
function isoTime(value: Json | undefined): string {
  return typeof value === 'string' ? value.replace(/Z$/, value.includes('.') ? '' : '.000000') : '';
}

/** The image's properties as the server's record keeps them. */
export function imageMeta(metadata: JsonObject): JsonObject {
  const prefix = 'image_';
  const own = Object.entries(metadata).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** The payload of a legacy notification (info_from_instance). nova makes a URL of the image, which is for nobody: ours is its id. */
export function legacyPayload(instance: Primitive, more: JsonObject = {}): JsonObject {
  const data = instance['nova_object.data'];
  const flavor = dataOf(data.flavor);
  const { root_gb: root = 0, ephemeral_gb: ephemeral = 0 } = flavor;
  const created = typeof data.created_at === 'string' ? data.created_at : '';
  return {
    tenant_id: data.project_id ?? null,
    user_id: data.user_id ?? null,
    instance_id: data.uuid ?? null,
    display_name: data.display_name ?? null,
    reservation_id: data.reservation_id ?? null,
    hostname: data.hostname ?? null,
    instance_type: flavor.name ?? '',
    instance_type_id: data.instance_type_id ?? null,
    instance_flavor_id: flavor.flavorid ?? '',
    architecture: data.architecture ?? null,
    memory_mb: flavor.memory_mb ?? null,
    disk_gb: Number(root) + Number(ephemeral),
    vcpus: flavor.vcpus ?? null,
    root_gb: root,
    ephemeral_gb: ephemeral,
    host: data.host ?? null,
    node: data.node ?? null,
    availability_zone: data.availability_zone ?? null,
    cell_name: data.cell_name ?? '',
    created_at: created.replace('T', ' ').replace('Z', '+00:00'),
    terminated_at: isoTime(data.terminated_at),
    deleted_at: isoTime(data.deleted_at),
    launched_at: isoTime(data.launched_at),
    image_ref_url: data.image_ref ?? null,
    os_type: data.os_type ?? null,
    kernel_id: data.kernel_id ?? '',
    ramdisk_id: data.ramdisk_id ?? '',
    state: data.vm_state ?? null,
    state_description: data.task_state ?? '',
    progress: data.progress || '',
    access_ip_v4: data.access_ip_v4 ?? null,
    access_ip_v6: data.access_ip_v6 ?? null,
    image_meta: imageMeta(objectOf(data.system_metadata)),
    metadata: data.metadata ?? {},
    ...more,
  };
}

/** `fixed_ips` of what is told with a server's networks. */
export function fixedIps(instance: Primitive): readonly JsonObject[] {
  return addressesOf(instance['nova_object.data']).map(({ vif, network, ip }) => ({
    ...ip,
    label: network.label ?? null,
    vif_mac: vif.address ?? null,
  }));
}

const object = (name: string, version: string, data: JsonObject): JsonObject => ({
  'nova_object.name': name,
  'nova_object.namespace': 'nova',
  'nova_object.version': version,
  'nova_object.data': data,
});

/** A flavor (FlavorPayload 1.4). `flavor` is the data of nova's object. */
export function flavorPayload(flavor: JsonObject): JsonObject {
  const names = ['flavorid', 'memory_mb', 'vcpus', 'root_gb', 'ephemeral_gb', 'name', 'swap', 'rxtx_factor'];
  return object('FlavorPayload', '1.4', {
    ...Object.fromEntries(names.map((name) => [name, flavor[name] ?? null])),
    vcpu_weight: flavor.vcpu_weight ?? null,
    disabled: flavor.disabled ?? false,
    is_public: flavor.is_public ?? true,
    extra_specs: flavor.extra_specs ?? {},
    projects: null,
    description: flavor.description ?? null,
  });
}

/** A server's disk that is a volume (BlockDevicePayload 1.0). */
export function diskPayload(device: NovaBlockDevice): JsonObject {
  const { device_name, tag, delete_on_termination, volume_id, boot_index } = device;
  return object('BlockDevicePayload', '1.0', { device_name, tag, delete_on_termination, volume_id, boot_index });
}

/**
 * What failed (ExceptionPayload 1.1), as nova's class of it. Where in nova's code it would have come up nobody can say; the module is that of the methods, and
 * the traceback is empty.
 */
export function exceptionPayload(method: string, thrown: unknown): JsonObject {
  const { name, message } = exceptionOf(thrown);
  return object('ExceptionPayload', '1.1', {
    module_name: 'nova.compute.manager',
    function_name: method,
    exception: name,
    exception_message: message,
    traceback: '',
  });
}

/** What `exists` says besides: the time that it is for (AuditPeriodPayload 1.0). */
export function auditPeriodPayload({ beginMs, endMs }: AuditPeriod): JsonObject {
  const period = { audit_period_beginning: novaDate(beginMs), audit_period_ending: novaDate(endMs) };
  return { audit_period: object('AuditPeriodPayload', '1.0', period) };
}

/** The same in a legacy notification: Python's text of a time, with microseconds where there are any. */
export function legacyAuditPeriod({ beginMs, endMs }: AuditPeriod): JsonObject {
  const said = (ms: number): string => {
    const [date = '', fraction = ''] = new Date(ms).toISOString().replace('T', ' ').replace('Z', '').split('.');
    return Number(fraction) === 0 ? date : `${date}.${fraction}000`;
  };
  return { audit_period_beginning: said(beginMs), audit_period_ending: said(endMs) };
}

/** What a legacy notification says of a failure besides. */
export function legacyFault(thrown: unknown): JsonObject {
  const { name, code, message } = exceptionOf(thrown);
  return { exception: name, message, code };
}

/** What a new server's notifications say besides. */
function createFields(data: JsonObject): JsonObject {
  const id = typeof data.id === 'number' ? data.id.toString(16).padStart(8, '0') : '';
  const tags = listOf(dataOf(data.tags).objects).map((tag) => dataOf(tag).tag ?? null);
  const keypairs = listOf(dataOf(data.keypairs).objects).map((each) => {
    const { name, user_id, public_key, fingerprint, type } = dataOf(each);
    const key = { name, user_id, public_key, fingerprint, type };
    return object('KeypairPayload', '1.0', Object.fromEntries(Object.entries(key).map(([k, v]) => [k, v ?? null])));
  });
  return { keypairs, tags, trusted_image_certificates: null, instance_name: `instance-${id}` };
}

/** The payload of a versioned notification. */
export function versionedPayload(
  name: PayloadName,
  instance: Primitive,
  { request_id: request, user_id: user, project_id: project }: RequestContext,
  more: JsonObject = {},
): JsonObject {
  const data = instance['nova_object.data'];
  const power = typeof data.power_state === 'number' ? data.power_state : 0;
  const addresses = addressesOf(data).map(({ vif, network, ip }) =>
    object('IpPayload', '1.0', {
      label: network.label ?? null,
      mac: vif.address ?? null,
      meta: ip.meta ?? {},
      port_uuid: vif.id ?? null,
      version: ip.version ?? null,
      address: ip.address ?? null,
      device_name: vif.devname ?? null,
    }),
  );
  return object(name, payloadVersions[name], {
    ...(name === 'InstanceCreatePayload' ? createFields(data) : {}),
    ...(name === 'InstanceExistsPayload' ? {} : { fault: null }),
    // nobody asked for what is nobody's
    request_id: user === null || project === null ? null : request,
    uuid: data.uuid ?? null,
    user_id: data.user_id ?? null,
    tenant_id: data.project_id ?? null,
    reservation_id: data.reservation_id ?? null,
    display_name: data.display_name ?? null,
    display_description: data.display_description ?? null,
    host_name: data.hostname ?? null,
    host: data.host ?? null,
    node: data.node ?? null,
    os_type: data.os_type ?? null,
    architecture: data.architecture ?? null,
    availability_zone: data.availability_zone ?? null,
    flavor: flavorPayload(dataOf(data.flavor)),
    image_uuid: data.image_ref ?? null,
    key_name: data.key_name ?? null,
    kernel_id: data.kernel_id ?? '',
    ramdisk_id: data.ramdisk_id ?? '',
    created_at: data.created_at ?? null,
    launched_at: data.launched_at ?? null,
    terminated_at: data.terminated_at ?? null,
    deleted_at: data.deleted_at ?? null,
    updated_at: data.updated_at ?? null,
    state: data.vm_state ?? null,
    power_state: powerStates[power] ?? 'pending',
    task_state: data.task_state ?? null,
    progress: data.progress ?? 0,
    ip_addresses: addresses,
    block_devices: null,
    metadata: data.metadata ?? {},
    locked: data.locked ?? false,
    auto_disk_config: data.auto_disk_config === true ? 'AUTO' : 'MANUAL',
    action_initiator_user: user,
    action_initiator_project: project,
    locked_reason: objectOf(data.system_metadata).locked_reason ?? null,
    ...more,
  });
}
