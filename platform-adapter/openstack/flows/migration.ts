/** What the methods of a resize and a cold migration have in common: the migration's record, flavors, allocations, and how the next host is asked. */

import type { Json, JsonObject } from '../../../core/units.ts';
import { getInstancePrimitive, readFlavor } from '../wire/instances.ts';
import { getMigrationPrimitive, type NovaMigration, readMigration, saveMigration } from '../wire/migrations.ts';
import { isNova } from '../wire/nova-errors.ts';
import { isPrimitive, type Primitive, parse } from '../wire/objects.ts';
import { type Arguments, rawArgument, readServer } from './arguments.ts';
import { compute } from './compute.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { currentInstance, ifThere } from './nova-record.ts';

/** A server's flavors as nova's primitives: they are saved as one, so all three are kept. */
export interface Flavors {
  readonly flavor: Json;
  readonly old_flavor: Json;
  readonly new_flavor: Json;
}

/** What a compute service that is asked next needs of the server. */
const sentAttributes = [
  'metadata',
  'system_metadata',
  'info_cache',
  'security_groups',
  'flavor',
  'migration_context',
  'pci_requests',
  'pci_devices',
  'numa_topology',
  'resources',
] as const;

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/** Reads a method of a move: server, migration, flavors, and what goes on to the next host as it came. @throws `invalid`. */
export function readMove(args: Arguments, more: JsonObject = {}): ReturnType<FlowDefinition['read']> {
  const migration = readMigration(args.migration, 'migration');
  const { flavor = null, old_flavor = null, new_flavor = null } = parse(args.instance, 'instance').data as JsonObject;
  return readServer(args, {
    ...more,
    migration: migration as unknown as Json,
    flavors: { flavor, old_flavor, new_flavor },
    image: rawArgument(args, 'image'),
    requestSpec: rawArgument(args, 'request_spec'),
    // a server may be moved again under the same request, after another host refused it
    key: String(migration.id),
  });
}

/** As `readMove`, for a method that makes the instance: it is made with this flavor. @throws `invalid`. */
export function readMoveTo(
  args: Arguments,
  choose: (flavors: Flavors, migration: NovaMigration) => Json,
): ReturnType<FlowDefinition['read']> {
  const { instance, request } = readMove(args);
  const flavors = request.flavors as unknown as Flavors;
  const target = choose(flavors, request.migration as unknown as NovaMigration);
  const flavor = readFlavor(target, 'instance.flavor');
  return {
    instance,
    request: {
      ...request,
      target,
      instance: { ...(request.instance as JsonObject), flavor: flavor as unknown as Json },
    },
  };
}

/** The migration as it was when the request was made. */
export function migrationOf(flow: Flow): NovaMigration {
  return flow.request.migration as unknown as NovaMigration;
}

/** The server's flavors as they were when the request was made. */
export function flavorsOf(flow: Flow): Flavors {
  return flow.request.flavors as unknown as Flavors;
}

/** Whether source and destination are this host. */
export function isSameHost(flow: Flow): boolean {
  const { source_compute: source, dest_compute: dest } = migrationOf(flow);
  return source === dest;
}

/** What a server of this flavor has in its record. */
export function flavorChanges(flavor: Json): JsonObject {
  const { id, memory_mb, vcpus, root_gb, ephemeral_gb } = readFlavor(flavor);
  return { instance_type_id: id, memory_mb, vcpus, root_gb, ephemeral_gb, flavor };
}

/** Whether the server was off when its move began: it is off again after it. */
export function wasStopped(flow: Flow): boolean {
  return (sentInstance(flow).system_metadata?.old_vm_state ?? 'active') === 'stopped';
}

/** System metadata without what a move keeps in it. */
export function withoutOldState(metadata: Readonly<Record<string, string>> | null): JsonObject {
  const { old_vm_state: _, ...rest } = metadata ?? {};
  return rest;
}

/** Saves the migration's state; one that an operator removed is fine. */
export async function markMigration(flow: Flow, changes: JsonObject, signal: AbortSignal): Promise<void> {
  await ifThere(saveMigration(flow.adminConductor(signal), migrationOf(flow).id, changes));
}

/** A stage that saves the migration's state. */
export function migrationStage(flow: Flow, status: string, changes: JsonObject = {}): Stage {
  return {
    name: status,
    async run({ signal }) {
      await markMigration(flow, { ...changes, status }, signal);
      return undefined;
    },
  };
}

/** Frees what the migration holds: the server's place on the host that it is not on. */
export async function freeMigration(flow: Flow, signal: AbortSignal): Promise<void> {
  const { uuid } = migrationOf(flow);
  if (uuid !== null) await flow.parts.placement.deleteAllocations(uuid, options(flow, signal));
  flow.parts.resourcesChanged();
}

/** Gives the server back what the migration holds, instead of what it holds itself. */
export async function giveBackPlace(flow: Flow, signal: AbortSignal): Promise<void> {
  const { uuid } = migrationOf(flow);
  if (uuid !== null) await flow.parts.placement.moveAllocations(uuid, flow.instance, options(flow, signal));
  flow.parts.resourcesChanged();
}

/** Whether the server is somebody's still: there, and not being deleted. */
export async function isWanted(flow: Flow, signal: AbortSignal): Promise<boolean> {
  const now = await currentInstance(flow.conductor(signal), flow.instance);
  return now !== undefined && now.task_state !== 'deleting' && now.task_state !== 'soft-deleting';
}

/**
 * The stage `migration`, before all else: its undo says that the migration has failed, and leaves no place held by it. `goesBack`: the server is
 * where it was, and has its place there again; else it is on the new host, or nowhere, and the old place is free.
 */
export function migrationGuard(flow: Flow, { goesBack }: { readonly goesBack: boolean }): Stage {
  return {
    name: 'migration',
    run: () => Promise.resolve(undefined),
    async undo({ signal }) {
      await markMigration(flow, { status: 'error' }, signal);
      if (goesBack && (await isWanted(flow, signal))) await giveBackPlace(flow, signal);
      else await freeMigration(flow, signal);
    },
  };
}

/** The server as another compute service is sent it; undefined where nova has it no more. */
export async function serverToSend(flow: Flow, signal: AbortSignal): Promise<Primitive | undefined> {
  try {
    const found = await getInstancePrimitive(flow.conductor(signal), flow.instance, sentAttributes);
    return found['nova_object.data'].deleted === true ? undefined : found;
  } catch (error) {
    if (isNova(error, 'InstanceNotFound')) return undefined;
    throw error;
  }
}

/**
 * The stage `cast`: the next compute service is asked to go on. Asked twice after a crash, it takes the second for the first. A server that was deleted
 * meanwhile needs nobody: then the migration ends here.
 */
export function castStage(
  flow: Flow,
  { host, method, more = {} }: { readonly host: string; readonly method: string; readonly more?: JsonObject },
): Stage {
  return {
    name: 'cast',
    async run({ signal }) {
      const instance = await serverToSend(flow, signal);
      if (instance === undefined) {
        await markMigration(flow, { status: 'error' }, signal);
        await freeMigration(flow, signal);
        return undefined;
      }
      const migration = await getMigrationPrimitive(flow.adminConductor(signal), migrationOf(flow).id);
      await flow.parts.nova.computeCast(flow.scope(signal), host, method, {
        ...more,
        instance: instance as unknown as Json,
        migration: migration as unknown as Json,
        request_spec: flow.request.requestSpec ?? null,
      });
      return undefined;
    },
  };
}

/** A server that was off is off again: it was made, and so switched on. */
export async function asBefore(flow: Flow, stopped: boolean, signal: AbortSignal): Promise<void> {
  if (stopped) await compute(flow, 'off-again', 'stop_instance', { uuid: flow.instance, timeout: 0 }, signal);
}

/** `asBefore` as a stage. */
export function asBeforeStage(flow: Flow): Stage {
  return {
    name: 'as-before',
    async run({ signal }) {
      await asBefore(flow, wasStopped(flow), signal);
      return undefined;
    },
  };
}

/** An argument that is an object of nova; null where it is none. */
export function objectArgument(args: Arguments, ...names: readonly string[]): Json {
  const found = names.map((name) => args[name]).find(isPrimitive);
  return (found ?? null) as Json;
}
