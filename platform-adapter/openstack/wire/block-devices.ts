import type { JsonObject } from '../../../core/units.ts';
import type { Conductor } from './conductor.ts';
import {
  flag,
  nullable,
  objectOf,
  objectsOf,
  orElse,
  type Primitive,
  type Read,
  sparse,
  text,
  whole,
} from './objects.ts';
import { versionOf } from './releases.ts';

const fields = {
  id: nullable(whole),
  uuid: nullable(text),
  instance_uuid: nullable(text),
  /** `image`, `volume`, `snapshot`, `blank`. */
  source_type: nullable(text),
  /** `local` or `volume`. */
  destination_type: nullable(text),
  guest_format: nullable(text),
  device_type: nullable(text),
  disk_bus: nullable(text),
  boot_index: nullable(whole),
  device_name: nullable(text),
  delete_on_termination: orElse(flag, false),
  snapshot_id: nullable(text),
  volume_id: nullable(text),
  /** GiB */
  volume_size: nullable(whole),
  image_id: nullable(text),
  no_device: orElse(flag, false),
  /** Cinder's answer as JSON text. It may hold secrets of the storage. */
  connection_info: nullable(text),
  tag: nullable(text),
  attachment_id: nullable(text),
  volume_type: nullable(text),
  encrypted: orElse(flag, false),
};

/** A block device mapping (BlockDeviceMapping 1.21). */
export type NovaBlockDevice = Read<typeof fields>;

/** Reads a BlockDeviceMapping. @throws `invalid`. */
export const readBlockDevice = objectOf('BlockDeviceMapping', fields);

/** Reads a BlockDeviceMappingList. @throws `invalid`. */
export const readBlockDevices = objectsOf('BlockDeviceMappingList', readBlockDevice);

function mapping(conductor: Conductor, identity: JsonObject, changes: JsonObject = {}): Primitive {
  return sparse('BlockDeviceMapping', versionOf(conductor.release, 'BlockDeviceMapping'), identity, changes);
}

/** The mappings of a server. */
export async function listBlockDevices(conductor: Conductor, instance: string): Promise<readonly NovaBlockDevice[]> {
  return readBlockDevices(
    await conductor.classAction('BlockDeviceMappingList', 'get_by_instance_uuid', [instance]),
    'block_device_mapping',
  );
}

/** The mapping of a volume at a server. @throws `not_found` (VolumeBDMNotFound). */
export async function getBlockDevice(conductor: Conductor, volume: string, instance: string): Promise<NovaBlockDevice> {
  return readBlockDevice(
    await conductor.classAction('BlockDeviceMapping', 'get_by_volume_and_instance', [volume, instance]),
    'bdm',
  );
}

/** The same as nova sent it, to be given on. @throws `not_found` (VolumeBDMNotFound). */
export async function getBlockDevicePrimitive(
  conductor: Conductor,
  volume: string,
  instance: string,
): Promise<Primitive> {
  const answer = await conductor.classAction('BlockDeviceMapping', 'get_by_volume_and_instance', [volume, instance]);
  readBlockDevice(answer, 'bdm');
  return answer as Primitive;
}

/** Makes a mapping; `answer` is its object with what nova added (id, uuid), to be given to who asked. Not an ensure. */
export async function createBlockDevice(
  conductor: Conductor,
  values: JsonObject,
): Promise<{ readonly bdm: NovaBlockDevice; readonly answer: Primitive }> {
  const { updates } = await conductor.objectAction(mapping(conductor, {}, values), 'create');
  const { obj_what_changed: _, ...set } = updates;
  const answer = mapping(conductor, { ...values, ...set });
  return { bdm: readBlockDevice(answer, 'bdm'), answer };
}

/** Saves these fields of a mapping. @throws `not_found`. */
export async function saveBlockDevice(conductor: Conductor, id: number, changes: JsonObject): Promise<void> {
  await conductor.objectAction(mapping(conductor, { id }, changes), 'save');
}

/** Removes a mapping; one that is gone is no error. */
export async function destroyBlockDevice(conductor: Conductor, id: number): Promise<void> {
  await conductor.objectAction(mapping(conductor, { id }), 'destroy');
}
