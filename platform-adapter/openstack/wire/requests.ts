/** What comes with a request to build or move a server: image, networks, request spec, external events. */

import type { Json, JsonObject } from '../../../core/units.ts';
import { readFlavor } from './instances.ts';
import { json, listOf, nullable, objectOf, objectsOf, orElse, parse, type Read, text, whole } from './objects.ts';

const networkFields = {
  /** Null: a port is given, or none is wanted. `auto` and `none` are nova's words. */
  network_id: nullable(text),
  /** The fixed address that is asked for. */
  address: nullable(text),
  port_id: nullable(text),
  pci_request_id: nullable(text),
  tag: nullable(text),
  arq_uuid: nullable(text),
  device_profile: nullable(text),
};

/** A network that a server asks for (NetworkRequest 1.3). */
export type RequestedNetwork = Read<typeof networkFields>;

const networks = objectsOf('NetworkRequestList', objectOf('NetworkRequest', networkFields));

/** Reads a NetworkRequestList; null is none asked for, which is nova's `auto` of old. @throws `invalid`. */
export function readRequestedNetworks(value: unknown, path = 'requested_networks'): readonly RequestedNetwork[] | null {
  return nullable(networks)(value, path);
}

const imageFields = {
  id: nullable(text),
  name: nullable(text),
  status: nullable(text),
  checksum: nullable(text),
  owner: nullable(text),
  /** bytes */
  size: nullable(whole),
  /** bytes */
  virtual_size: nullable(whole),
  container_format: nullable(text),
  disk_format: nullable(text),
  /** MiB */
  min_ram: orElse(whole, 0),
  /** GiB */
  min_disk: orElse(whole, 0),
};

/** An image's description; its properties are under nova's names (`hw_disk_bus`, `os_distro`), or Glance's own in a plain one. */
export type NovaImage = Read<typeof imageFields> & { readonly properties: JsonObject };

/** Reads an ImageMeta, or the plain form that `build_and_run_instance` gives as `image`. @throws `invalid`. */
export function readImageMeta(value: unknown, path = 'image'): NovaImage {
  const isPlain = typeof value === 'object' && value !== null && !('nova_object.name' in value);
  const data: Readonly<Record<string, unknown>> = isPlain ? { ...value } : parse(value, path, 'ImageMeta').data;
  const read = Object.fromEntries(
    Object.entries(imageFields).map(([name, field]) => [name, field(data[name], `${path}.${name}`)]),
  ) as Read<typeof imageFields>;
  return { ...read, properties: properties(data.properties, `${path}.properties`) };
}

function properties(value: unknown, path: string): JsonObject {
  if (typeof value !== 'object' || value === null) return {};
  if ('nova_object.name' in value) return parse(value, path, 'ImageMetaProps').data as JsonObject;
  return value as JsonObject;
}

const specFields = {
  instance_uuid: nullable(text),
  project_id: nullable(text),
  flavor: nullable(readFlavor),
  image: nullable(readImageMeta),
  num_instances: orElse(whole, 1),
  availability_zone: nullable(text),
  is_bfv: nullable((value: unknown) => value === true),
  requested_networks: nullable(networks),
  scheduler_hints: orElse(json, {} as Json),
  security_groups: nullable(objectsOf('SecurityGroupList', objectOf('SecurityGroup', { name: nullable(text) }))),
};

/** What the scheduler was asked (RequestSpec 1.14). */
export type NovaRequestSpec = Read<typeof specFields>;

/** Reads a RequestSpec. @throws `invalid`. */
export const readRequestSpec = objectOf('RequestSpec', specFields);

const eventFields = {
  instance_uuid: text,
  /** `network-vif-plugged`, `network-changed`, `volume-extended` ... */
  name: text,
  /** `completed`, `failed`, `in-progress`. */
  status: orElse(text, 'completed'),
  /** The port's or the volume's id. */
  tag: nullable(text),
};

/** What Neutron or Cinder tells of a server (InstanceExternalEvent 1.5). */
export type ExternalEvent = Read<typeof eventFields>;

const events = listOf(objectOf('InstanceExternalEvent', eventFields));

/** Reads the events of external_instance_event. @throws `invalid`. */
export const readExternalEvents = (value: unknown): readonly ExternalEvent[] => events(value, 'events');
