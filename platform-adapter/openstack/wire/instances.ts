import type { Json, JsonObject } from '../../../core/units.ts';
import type { Conductor } from './conductor.ts';
import {
  flag,
  isPrimitive,
  json,
  listOf,
  nullable,
  objectOf,
  objectsOf,
  orElse,
  type Primitive,
  type Read,
  real,
  sparse,
  text,
  texts,
  whole,
} from './objects.ts';
import { versionOf } from './releases.ts';
import { computeId } from './service-records.ts';

const flavorFields = {
  id: nullable(whole),
  name: nullable(text),
  flavorid: text,
  vcpus: whole,
  /** MiB */
  memory_mb: whole,
  /** GiB */
  root_gb: whole,
  /** GiB */
  ephemeral_gb: whole,
  /** MiB */
  swap: orElse(whole, 0),
  rxtx_factor: nullable(real),
  is_public: orElse(flag, true),
  extra_specs: orElse(texts, {}),
};

/** A flavor (Flavor 1.2). */
export type NovaFlavor = Read<typeof flavorFields>;
const flavor = objectOf('Flavor', flavorFields);

const keypairFields = { name: text, type: orElse(text, 'ssh'), public_key: nullable(text) };
const pciRequestFields = {
  count: whole,
  spec: listOf(json),
  alias_name: nullable(text),
  request_id: nullable(text),
  requester_id: nullable(text),
};

const instanceFields = {
  uuid: text,
  id: nullable(whole),
  user_id: nullable(text),
  project_id: nullable(text),
  image_ref: nullable(text),
  hostname: nullable(text),
  launch_index: orElse(whole, 0),
  key_name: nullable(text),
  key_data: nullable(text),
  power_state: nullable(whole),
  vm_state: nullable(text),
  task_state: nullable(text),
  vcpus: nullable(whole),
  memory_mb: nullable(whole),
  root_gb: nullable(whole),
  ephemeral_gb: nullable(whole),
  host: nullable(text),
  node: nullable(text),
  launched_on: nullable(text),
  /** Base64. */
  user_data: nullable(text),
  reservation_id: nullable(text),
  created_at: nullable(text),
  launched_at: nullable(text),
  terminated_at: nullable(text),
  /** Of a soft delete, too. */
  deleted_at: nullable(text),
  availability_zone: nullable(text),
  display_name: nullable(text),
  display_description: nullable(text),
  locked: orElse(flag, false),
  root_device_name: nullable(text),
  default_ephemeral_device: nullable(text),
  default_swap_device: nullable(text),
  /** `True`, or empty. */
  config_drive: orElse(text, ''),
  access_ip_v4: nullable(text),
  access_ip_v6: nullable(text),
  os_type: nullable(text),
  architecture: nullable(text),
  hidden: orElse(flag, false),
  deleted: orElse(flag, false),
  cleaned: orElse(flag, false),
  /** Null where it was not loaded. */
  metadata: nullable(texts),
  system_metadata: nullable(texts),
  flavor: nullable(flavor),
  old_flavor: nullable(flavor),
  new_flavor: nullable(flavor),
  info_cache: nullable(objectOf('InstanceInfoCache', { network_info: orElse(text, '[]') })),
  keypairs: nullable(objectsOf('KeyPairList', objectOf('KeyPair', keypairFields))),
  tags: nullable(objectsOf('TagList', objectOf('Tag', { tag: text }))),
  ec2_ids: nullable(objectOf('EC2Ids', { instance_id: nullable(text), ami_id: nullable(text) })),
  pci_requests: nullable(
    objectOf('InstancePCIRequests', {
      requests: listOf(objectOf('InstancePCIRequest', pciRequestFields)),
    }),
  ),
  trusted_certs: nullable(objectOf('TrustedCerts', { ids: orElse(listOf(text), []) })),
  migration_context: nullable(objectOf('MigrationContext', { migration_id: whole })),
};

/**
 * A server (Instance 2.7), its fields under nova's names. What nova left unset or null is null. It is plain JSON; `user_data`
 * and `key_data` are the user's own, and no more secret than nova's database takes them for.
 */
export type NovaInstance = Read<typeof instanceFields>;

/** Reads a Flavor. @throws `invalid` that names the field. */
export const readFlavor = (value: unknown, path = 'flavor'): NovaFlavor => flavor(value, path);

/** Reads an Instance. @throws `invalid` that names the field. */
export const readInstance = objectOf('Instance', instanceFields);

/** Reads an InstanceList. @throws `invalid`. */
export const readInstances = objectsOf('InstanceList', readInstance);

/** Of which states a save is allowed, and whether it may be a repeat. */
export interface SaveOptions {
  /** Compare-and-set: the task states (null: none) of which one must be there. */
  readonly expectedTaskState?: readonly (string | null)[];
  /** Made again after a crash: the task state that it sets counts as expected too, since it may have been set before. */
  readonly repeat?: boolean;
}

/**
 * Saves these fields and no other. Object fields are given as primitives; `flavor`, `old_flavor` and `new_flavor` only all three at
 * once (nova writes them as one). Answers what nova changed by itself.
 * @throws TaskStateError, `not_found` (InstanceNotFound: it is deleted).
 */
export async function saveInstance(
  conductor: Conductor,
  uuid: string,
  changes: JsonObject,
  options: SaveOptions = {},
): Promise<JsonObject> {
  const node = await computeId(conductor, 'compute_id', changes.host, changes.node);
  const object = sparse('Instance', versionOf(conductor.release, 'Instance'), { uuid }, { ...changes, ...node });
  return (await conductor.objectAction(object, 'save', [], expectation(changes, options))).updates;
}

function expectation(changes: JsonObject, { expectedTaskState, repeat }: SaveOptions): JsonObject {
  if (expectedTaskState === undefined) return {};
  const set = changes.task_state;
  const again = repeat === true && (set === null || typeof set === 'string') && !expectedTaskState.includes(set);
  const states: readonly Json[] = again ? [...expectedTaskState, set] : expectedTaskState;
  const [only] = states;
  return { expected_task_state: states.length === 1 && only !== null && only !== undefined ? only : states };
}

/** Marks the server's record deleted: after this the API answers 404. @throws `not_found` when it was before. */
export async function destroyInstance(
  conductor: Conductor,
  instance: { readonly id: number; readonly uuid: string; readonly host: string | null },
): Promise<void> {
  const { id, uuid, host } = instance;
  await conductor.objectAction(
    sparse('Instance', versionOf(conductor.release, 'Instance'), { id, uuid, host }),
    'destroy',
  );
}

/** Takes the migration context off the server's record. `instance` must have come with its context. */
export async function dropMigrationContext(conductor: Conductor, instance: Primitive): Promise<void> {
  await conductor.objectAction(instance, 'drop_migration_context');
}

/** A server with these of its lazily loaded fields, as nova sends it. @throws `not_found`. */
export async function getInstancePrimitive(
  conductor: Conductor,
  uuid: string,
  expected: readonly string[] = [],
): Promise<Primitive> {
  const answer = await conductor.classAction('Instance', 'get_by_uuid', [], { uuid, expected_attrs: expected });
  readInstance(answer, 'instance');
  return answer as unknown as Primitive;
}

/** A server with these of its lazily loaded fields. @throws `not_found`. */
export async function getInstance(
  conductor: Conductor,
  uuid: string,
  expected: readonly string[] = [],
): Promise<NovaInstance> {
  return readInstance(await getInstancePrimitive(conductor, uuid, expected), 'instance');
}

/** The servers of a host. */
export async function listInstancesByHost(
  conductor: Conductor,
  host: string,
  expected: readonly string[] = [],
  kwargs: JsonObject = {},
): Promise<readonly NovaInstance[]> {
  const answer = await conductor.classAction('InstanceList', 'get_by_host', [host], {
    expected_attrs: expected,
    ...kwargs,
  });
  return readInstances(answer, 'instances');
}

/** The servers of a host's node. */
export async function listInstancesByNode(
  conductor: Conductor,
  host: string,
  node: string,
  expected: readonly string[] = [],
): Promise<readonly NovaInstance[]> {
  const answer = await conductor.classAction('InstanceList', 'get_by_host_and_node', [host, node], {
    expected_attrs: expected,
  });
  return readInstances(answer, 'instances');
}

/** The servers of a host that are deleted softly, and with which nothing is being done: as nova sends them. */
export async function listSoftDeleted(conductor: Conductor, host: string): Promise<readonly Primitive[]> {
  const filters = { vm_state: 'soft-delete', task_state: null, host };
  const expected_attrs = ['metadata', 'system_metadata', 'flavor'];
  const answer = await conductor.classAction('InstanceList', 'get_by_filters', [filters], { expected_attrs });
  readInstances(answer, 'instances');
  return (answer as unknown as Primitive)['nova_object.data'].objects as unknown as readonly Primitive[];
}

/** Those of these servers that are being built. */
export async function listBuilding(conductor: Conductor, uuids: readonly string[]): Promise<readonly NovaInstance[]> {
  const filters = { vm_state: 'building', uuid: uuids };
  const answer = await conductor.classAction('InstanceList', 'get_by_filters', [filters], { expected_attrs: [] });
  return readInstances(answer, 'instances');
}

/** The id of each server of a host, for what only counts them. */
export async function listInstanceUuids(conductor: Conductor, host: string): Promise<readonly string[]> {
  return listOf(text)(await conductor.classAction('InstanceList', 'get_uuids_by_host', [host]), 'instances');
}

/** Writes the network information that the API shows addresses from (InstanceInfoCache.save). @throws `not_found`. */
export async function saveInfoCache(conductor: Conductor, uuid: string, networkInfo: Json): Promise<void> {
  const changes = { instance_uuid: uuid, network_info: JSON.stringify(networkInfo) };
  const version = versionOf(conductor.release, 'InstanceInfoCache');
  await conductor.objectAction(sparse('InstanceInfoCache', version, {}, changes), 'save');
}

/** The network information that is kept now; an empty list where there is none. @throws `not_found`. */
export async function getInfoCache(conductor: Conductor, uuid: string): Promise<Json> {
  const answer = await conductor.classAction('InstanceInfoCache', 'get_by_instance_uuid', [uuid]);
  if (!isPrimitive(answer)) return [];
  const cache = objectOf('InstanceInfoCache', { network_info: orElse(text, '[]') })(answer, 'info_cache');
  return JSON.parse(cache.network_info) as Json;
}
