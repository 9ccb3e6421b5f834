import type { Json, JsonObject } from '../../../core/units.ts';
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
import { type Release, versionOf } from './releases.ts';
import { computeId } from './service-records.ts';

const fields = {
  id: whole,
  uuid: nullable(text),
  source_compute: nullable(text),
  dest_compute: nullable(text),
  source_node: nullable(text),
  dest_node: nullable(text),
  dest_host: nullable(text),
  old_instance_type_id: nullable(whole),
  new_instance_type_id: nullable(whole),
  instance_uuid: nullable(text),
  status: nullable(text),
  /** `migration`, `resize`, `live-migration`, `evacuation`. */
  migration_type: nullable(text),
  cross_cell_move: orElse(flag, false),
  user_id: nullable(text),
  project_id: nullable(text),
};

/** A migration (Migration 1.7). */
export type NovaMigration = Read<typeof fields>;

/** Reads a Migration. @throws `invalid`. */
export const readMigration = objectOf('Migration', fields);

/** Reads a MigrationList. @throws `invalid`. */
export const readMigrations = objectsOf('MigrationList', readMigration);

/** A migration as nova sends it, to be passed on to another compute service. @throws `not_found`. */
export async function getMigrationPrimitive(conductor: Conductor, id: number): Promise<Primitive> {
  const answer = await conductor.classAction('Migration', 'get_by_id', [id]);
  readMigration(answer, 'migration');
  return answer as unknown as Primitive;
}

/** A migration by its number. @throws `not_found`. */
export async function getMigration(conductor: Conductor, id: number): Promise<NovaMigration> {
  return readMigration(await getMigrationPrimitive(conductor, id), 'migration');
}

/** Saves these fields (`{status: 'finished'}`). @throws `not_found`. */
export async function saveMigration(conductor: Conductor, id: number, changes: JsonObject): Promise<void> {
  const node = await computeId(conductor, 'dest_compute_id', changes.dest_compute, changes.dest_node);
  const object = sparse('Migration', versionOf(conductor.release, 'Migration'), { id }, { ...changes, ...node });
  await conductor.objectAction(object, 'save');
}

/** Makes a migration; nova sets `source_compute` and so on as given. Answers its number and uuid. */
export async function createMigration(conductor: Conductor, values: JsonObject): Promise<NovaMigration> {
  const version = versionOf(conductor.release, 'Migration');
  const { updates } = await conductor.objectAction(sparse('Migration', version, {}, values), 'create');
  return readMigration(sparse('Migration', version, { ...values, ...updates }), 'migration');
}

/**
 * The MigrationContext of a server without NUMA cells and PCI devices, which is what our nodes know: stock compute services read it at both ends of a
 * move. It is saved, and taken off, as the server's field `migration_context`.
 */
export function emptyMigrationContext(release: Release, instance: string, migration: number): Primitive {
  const part = (name: string, data: JsonObject): Json =>
    sparse(name, versionOf(release, name), {}, data) as unknown as Json;
  const requests = (): Json => part('InstancePCIRequests', { instance_uuid: instance, requests: [] });
  const devices = (): Json => part('PciDeviceList', { objects: [] });
  return sparse(
    'MigrationContext',
    versionOf(release, 'MigrationContext'),
    {},
    {
      instance_uuid: instance,
      migration_id: migration,
      new_numa_topology: null,
      old_numa_topology: null,
      new_pci_devices: devices(),
      old_pci_devices: devices(),
      new_pci_requests: requests(),
      old_pci_requests: requests(),
      new_resources: null,
      old_resources: null,
    },
  );
}

/** Migrations that match. Deleted servers' are among them only under a context that reads what is deleted. */
export async function listMigrations(conductor: Conductor, filters: JsonObject): Promise<readonly NovaMigration[]> {
  return readMigrations(await conductor.classAction('MigrationList', 'get_by_filters', [filters]), 'migrations');
}

/** Migrations to a host that have been finished for so many seconds, and were neither confirmed nor taken back. */
export async function listUnconfirmed(
  conductor: Conductor,
  seconds: number,
  host: string,
): Promise<readonly NovaMigration[]> {
  const method = 'get_unconfirmed_by_dest_compute';
  const answer = await conductor.classAction('MigrationList', method, [seconds, host], { use_slave: true });
  return readMigrations(answer, 'migrations');
}

/** Servers with a migration from or to a node that goes on. */
export async function listMigrationsTo(conductor: Conductor, host: string, node: string): Promise<readonly string[]> {
  const answer = await conductor.classAction('MigrationList', 'get_in_progress_by_host_and_node', [host, node]);
  return readMigrations(answer, 'migrations').flatMap(({ instance_uuid: each }) => (each === null ? [] : [each]));
}

/** Migrations from or to a node that go on, or have failed and hold resources. */
export async function listMigrationsInProgress(
  conductor: Conductor,
  host: string,
  node: string,
): Promise<readonly NovaMigration[]> {
  return readMigrations(
    await conductor.classAction('MigrationList', 'get_in_progress_and_error', [host, node]),
    'migrations',
  );
}
