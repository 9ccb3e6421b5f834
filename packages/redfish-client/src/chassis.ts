import type { RedfishClient } from './client.ts';
import { readCollection } from './collection.ts';
import type { Gathered } from './gathered.ts';
import { type Part, toPart } from './inventory-parts.ts';
import { linksOf, objectAt, textOf } from './json.ts';
import { readServiceRoot } from './service-root.ts';
import type { CallOptions } from './signals.ts';

/** Schema Chassis. */
export type Chassis = Part & {
  /** For example `RackMount`, `Card`. */
  readonly type: string | undefined;
  readonly powerState: string | undefined;
  readonly systems: readonly string[];
  readonly managers: readonly string[];
};

/** Schema Manager. */
export type Manager = Part & {
  /** For example `BMC`. */
  readonly type: string | undefined;
  readonly uuid: string | undefined;
  readonly firmwareVersion: string | undefined;
  readonly systems: readonly string[];
};

/** Reads all chassis; empty when the service has none. */
export async function listChassis(client: RedfishClient, options: CallOptions = {}): Promise<Gathered<Chassis>> {
  const { chassis } = await readServiceRoot(client, options);
  const { items, problems } = await readCollection(client, chassis, options);
  return {
    problems,
    items: items.map((raw) => ({
      ...toPart(raw),
      type: textOf(raw.body, 'ChassisType'),
      powerState: textOf(raw.body, 'PowerState'),
      systems: linksOf(objectAt(raw.body, 'Links'), 'ComputerSystems'),
      managers: linksOf(objectAt(raw.body, 'Links'), 'ManagedBy'),
    })),
  };
}

/** Reads all managers; empty when the service has none. */
export async function listManagers(client: RedfishClient, options: CallOptions = {}): Promise<Gathered<Manager>> {
  const { managers } = await readServiceRoot(client, options);
  const { items, problems } = await readCollection(client, managers, options);
  return {
    problems,
    items: items.map((raw) => ({
      ...toPart(raw),
      type: textOf(raw.body, 'ManagerType'),
      uuid: textOf(raw.body, 'UUID')?.toLowerCase(),
      firmwareVersion: textOf(raw.body, 'FirmwareVersion'),
      systems: linksOf(objectAt(raw.body, 'Links'), 'ManagerForServers'),
    })),
  };
}
