import type { RedfishClient } from './client.ts';
import { type Resource, readCollection } from './collection.ts';
import { LookupError, UnsupportedError } from './errors.ts';
import type { Gathered } from './gathered.ts';
import { linkOf, linksOf, numberOf, objectAt, textOf } from './json.ts';
import { readServiceRoot } from './service-root.ts';
import type { CallOptions } from './signals.ts';

/** A computer system (schema ComputerSystem); `raw` is all that the service sent. */
export type System = {
  readonly path: string;
  readonly etag: string | undefined;
  readonly id: string | undefined;
  readonly name: string | undefined;
  /** In lower case. */
  readonly uuid: string | undefined;
  readonly serialNumber: string | undefined;
  readonly manufacturer: string | undefined;
  readonly model: string | undefined;
  readonly sku: string | undefined;
  readonly biosVersion: string | undefined;
  readonly hostName: string | undefined;
  /** `On`, `Off`, `PoweringOn`, `PoweringOff`, `Paused`, or what a service of a later schema says. */
  readonly powerState: string | undefined;
  readonly health: string | undefined;
  readonly memoryGiB: number | undefined;
  readonly processorCount: number | undefined;
  readonly processorModel: string | undefined;
  readonly chassis: readonly string[];
  readonly managers: readonly string[];
  readonly raw: Resource;
};

/** A resource as a system. */
export function toSystem(raw: Resource): System {
  const { body } = raw;
  return {
    path: raw.path,
    etag: raw.etag,
    id: textOf(body, 'Id'),
    name: textOf(body, 'Name'),
    uuid: textOf(body, 'UUID')?.toLowerCase(),
    serialNumber: textOf(body, 'SerialNumber'),
    manufacturer: textOf(body, 'Manufacturer'),
    model: textOf(body, 'Model'),
    sku: textOf(body, 'SKU'),
    biosVersion: textOf(body, 'BiosVersion'),
    hostName: textOf(body, 'HostName'),
    powerState: textOf(body, 'PowerState'),
    health: textOf(objectAt(body, 'Status'), 'Health'),
    memoryGiB: numberOf(objectAt(body, 'MemorySummary'), 'TotalSystemMemoryGiB'),
    processorCount: numberOf(objectAt(body, 'ProcessorSummary'), 'Count'),
    processorModel: textOf(objectAt(body, 'ProcessorSummary'), 'Model'),
    chassis: linksOf(objectAt(body, 'Links'), 'Chassis'),
    managers: linksOf(objectAt(body, 'Links'), 'ManagedBy'),
    raw,
  };
}

/** Reads one system. */
export async function readSystem(client: RedfishClient, path: string, options: CallOptions = {}): Promise<System> {
  const { body, etag } = await client.get(path, options);
  return toSystem({ path, body, etag });
}

/** Reads all systems of the service. @throws UnsupportedError when it has no Systems */
export async function listSystems(client: RedfishClient, options: CallOptions = {}): Promise<Gathered<System>> {
  using time = client.deadline('list systems', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const { systems } = await readServiceRoot(client, limits);
  if (systems === undefined) throw new UnsupportedError('the service root names no Systems');
  const { items, problems } = await readCollection(client, systems, limits);
  return { items: items.map(toSystem), problems };
}

/** What a system is known by; all that are given must fit. UUIDs are compared without case, serial numbers without blanks around. */
export type SystemKey = {
  readonly uuid?: string;
  readonly serialNumber?: string;
  readonly id?: string;
};

/**
 * The one system that fits; without a key, the only one.
 * @throws LookupError `not-found` or `ambiguous`; when a member could not be read its own error, as it may have been the one.
 */
export async function findSystem(
  client: RedfishClient,
  key: SystemKey = {},
  options: CallOptions = {},
): Promise<System> {
  const { items, problems } = await listSystems(client, options);
  const fits = items.filter(
    (system) =>
      (key.uuid === undefined || system.uuid === key.uuid.trim().toLowerCase()) &&
      (key.serialNumber === undefined || system.serialNumber === key.serialNumber.trim()) &&
      (key.id === undefined || system.id === key.id),
  );
  const [found] = fits;
  if (fits.length > 1) throw new LookupError('ambiguous', `${fits.length} systems fit`);
  const [unread] = problems;
  if (unread !== undefined && (found === undefined || Object.keys(key).length === 0)) throw unread.error;
  if (found === undefined) throw new LookupError('not-found', 'no system fits');
  return found;
}

/** Path of a sub-resource of a system, chassis or manager. @throws UnsupportedError when it has none */
export function subPath(resource: Resource, key: string): string {
  const link = linkOf(resource.body, key);
  if (link === undefined) throw new UnsupportedError(`${resource.path} has no ${key}`);
  return link;
}
