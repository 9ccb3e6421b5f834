import type { RedfishClient } from './client.ts';
import { type Resource, readAll, readCollection } from './collection.ts';
import type { Gathered, Problem } from './gathered.ts';
import {
  type Drive,
  type EthernetInterface,
  type MemoryModule,
  type NetworkAdapter,
  type PcieDevice,
  type Processor,
  type Storage,
  toDrive,
  toEthernetInterface,
  toMemory,
  toNetworkAdapter,
  toPcieDevice,
  toProcessor,
  toStorage,
} from './inventory-parts.ts';
import { linkOf, linksOf, objectAt } from './json.ts';
import type { CallOptions } from './signals.ts';
import { readSystem, type System } from './system.ts';

/** A part of the inventory. */
export type InventoryPart =
  | 'processors'
  | 'memory'
  | 'ethernetInterfaces'
  | 'pcieDevices'
  | 'networkAdapters'
  | 'storage';

/** What a system is made of. A part that was not asked for is empty; one that could not be read is told in `problems`. */
export type Inventory = {
  readonly system: System;
  readonly processors: readonly Processor[];
  readonly memory: readonly MemoryModule[];
  readonly ethernetInterfaces: readonly EthernetInterface[];
  readonly pcieDevices: readonly PcieDevice[];
  readonly networkAdapters: readonly NetworkAdapter[];
  readonly storage: readonly Storage[];
  readonly problems: readonly Problem[];
};

const ALL: readonly InventoryPart[] = [
  'processors',
  'memory',
  'ethernetInterfaces',
  'pcieDevices',
  'networkAdapters',
  'storage',
];

/**
 * Reads what a system is made of. Only the system itself must be readable; every other resource that answers an error becomes a
 * problem and the rest is told. PCIe devices come from the system and, where it lists none, from its chassis; network adapters from
 * the chassis and the system's network interfaces.
 * @throws what reading the system throws.
 */
export async function readInventory(
  client: RedfishClient,
  path: string,
  options: CallOptions & { readonly parts?: readonly InventoryPart[] } = {},
): Promise<Inventory> {
  using time = client.deadline('read inventory', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const parts = new Set(options.parts ?? ALL);
  const system = await readSystem(client, path, limits);
  const { body } = system.raw;
  const problems: Problem[] = [];
  const keep = <T>(gathered: Gathered<T>): readonly T[] => {
    problems.push(...gathered.problems);
    return gathered.items;
  };
  const collection = async (part: InventoryPart, key: string) =>
    parts.has(part) ? keep(await readCollection(client, linkOf(body, key), limits)) : [];
  const fromChassis = parts.has('pcieDevices') || parts.has('networkAdapters');
  const chassis = fromChassis ? keep(await readAll(client, system.chassis, limits)) : [];

  const [processors, memory, ethernetInterfaces, pcieDevices, networkAdapters, storage] = await Promise.all([
    collection('processors', 'Processors'),
    collection('memory', 'Memory'),
    collection('ethernetInterfaces', 'EthernetInterfaces'),
    parts.has('pcieDevices') ? readPcieDevices(client, system, chassis, limits, keep) : [],
    parts.has('networkAdapters') ? readAdapters(client, system, chassis, limits, keep) : [],
    collection('storage', 'Storage'),
  ]);
  const drivePaths = storage.flatMap((one) => linksOf(one.body, 'Drives'));
  const drives = new Map<string, Drive>();
  for (const drive of keep(await readAll(client, drivePaths, limits))) drives.set(drive.path, toDrive(drive));
  return {
    system,
    processors: processors.map(toProcessor),
    memory: memory.map(toMemory),
    ethernetInterfaces: ethernetInterfaces.map(toEthernetInterface),
    pcieDevices: pcieDevices.map(toPcieDevice),
    networkAdapters: networkAdapters.map(toNetworkAdapter),
    storage: storage.map((one) => toStorage(one, drives)),
    problems,
  };
}

type Keep = (gathered: Gathered<Resource>) => readonly Resource[];

async function readPcieDevices(
  client: RedfishClient,
  system: System,
  chassis: readonly Resource[],
  limits: CallOptions,
  keep: Keep,
): Promise<readonly Resource[]> {
  const listed = linksOf(system.raw.body, 'PCIeDevices');
  if (listed.length > 0) return keep(await readAll(client, listed, limits));
  const found = chassis.map(async ({ body }) =>
    keep(await readCollection(client, linkOf(body, 'PCIeDevices'), limits)),
  );
  return (await Promise.all(found)).flat();
}

async function readAdapters(
  client: RedfishClient,
  system: System,
  chassis: readonly Resource[],
  limits: CallOptions,
  keep: Keep,
): Promise<readonly Resource[]> {
  const ofChassis = chassis.map(async ({ body }) =>
    keep(await readCollection(client, linkOf(body, 'NetworkAdapters'), limits)),
  );
  const found = (await Promise.all(ofChassis)).flat();
  if (found.length > 0) return found;
  const interfaces = keep(await readCollection(client, linkOf(system.raw.body, 'NetworkInterfaces'), limits));
  const adapters = interfaces.flatMap(({ body }) => linkOf(objectAt(body, 'Links'), 'NetworkAdapter') ?? []);
  return keep(await readAll(client, adapters, limits));
}
