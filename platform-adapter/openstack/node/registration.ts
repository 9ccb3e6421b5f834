import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Random } from '../../../core/ports/random.ts';
import type { CallScope, Conductor, NovaRpc } from '../wire/conductor.ts';
import { adminContext, type RequestContext } from '../wire/context.ts';
import { listInstancesByHost, type NovaInstance } from '../wire/instances.ts';
import { listMigrations, type NovaMigration } from '../wire/migrations.ts';
import { isNova } from '../wire/nova-errors.ts';
import { releaseOf } from '../wire/releases.ts';
import {
  type ComputeNodeRecord,
  createService,
  getComputeNode,
  getService,
  minimumServiceVersion,
  type ServiceRecord,
  saveService,
} from '../wire/service-records.ts';

/** What registering works with. */
export interface RegistrationParts {
  readonly rpc: NovaRpc;
  readonly host: string;
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What the control plane knew of us. */
export interface Registration {
  readonly service: ServiceRecord;
  /** Undefined: the node's record is still to be made. */
  readonly computeNode: ComputeNodeRecord | undefined;
  /** nova's servers on the host, with info_cache and metadata. */
  readonly instances: readonly NovaInstance[];
  /** Evacuations away from this host: what they name must not live here any more. */
  readonly evacuated: readonly NovaMigration[];
}

/** Migrations of servers that were rebuilt elsewhere while this host was down. */
const evacuations = ['accepted', 'pre-migrating', 'done'] as const;

const oldestRelease = releaseOf('zed');

/** A scope of our own: a new request id for each piece of work. */
export function ownScope(
  parts: { readonly clock: Clock; readonly random: Random },
  signal: AbortSignal,
  readDeleted: 'no' | 'yes' = 'no',
): CallScope & { readonly context: RequestContext } {
  return { context: adminContext(parts, readDeleted), signal };
}

/**
 * Asks for what a compute service asks at its start, and makes or renews the service's record, in nova's order: only with the
 * record is the host up, so what is left from before is asked for first. Repeated after a failure it goes on from what is there.
 * @throws `unavailable`, `timeout` (no conductor answers); `unsupported` (the control plane wants a newer compute service).
 */
export async function register(parts: RegistrationParts, signal: AbortSignal): Promise<Registration> {
  const { rpc, host, node } = parts;
  const scope = ownScope(parts, signal);
  const conductor = rpc.conductor(scope);
  await conductor.ping();
  await checkControlPlane(conductor);
  await checkVersions(conductor, parts);
  const instances = await listInstancesByHost(conductor, host, ['info_cache', 'metadata', 'numa_topology']);
  const computeNode = await getComputeNode(conductor, host, node);
  const evacuated = await listMigrations(conductor.under({ context: { ...scope.context, read_deleted: 'yes' } }), {
    source_compute: host,
    status: evacuations,
    migration_type: 'evacuation',
  });
  const service = await ensureService(conductor, host);
  return { service, computeNode, instances, evacuated };
}

/**
 * A control plane that is older than our release can't read our objects: nova-conductor would ask itself to bring them back, again and again. All of
 * nova's services count their versions alike. There is none older than the first of the table.
 */
async function checkControlPlane(conductor: Conductor): Promise<void> {
  const { name, serviceVersion } = conductor.release;
  if (serviceVersion === oldestRelease.serviceVersion) return;
  const lowest = await minimumServiceVersion(conductor, 'nova-conductor');
  if (lowest >= serviceVersion) return;
  throw new DpuError('unsupported', `the control plane is older than nova's release ${name}`, {
    field: 'platform.openstack.release',
    details: { conductor: lowest, ours: serviceVersion },
  });
}

/** nova's raise_if_old_compute: beside compute services that are too old for this release nothing would be understood. */
async function checkVersions(conductor: Conductor, { log }: RegistrationParts): Promise<void> {
  const lowest = await minimumServiceVersion(conductor);
  const { release } = conductor;
  if (lowest !== 0 && lowest < release.oldestServiceVersion) {
    throw new DpuError(
      'unsupported',
      `a compute service of the cell is older than nova's release ${release.name} allows`,
      {
        details: { lowest, oldest_supported: release.oldestServiceVersion },
      },
    );
  }
  if (lowest > release.serviceVersion) {
    log.warn('all compute services of the cell are newer than the release that this node is set to', {
      lowest,
      ours: release.serviceVersion,
    });
  }
}

async function ensureService(conductor: Conductor, host: string): Promise<ServiceRecord> {
  const there = await getService(conductor, host);
  if (there === undefined) {
    try {
      return await createService(conductor, host);
    } catch (error) {
      if (isNova(error, 'ServiceTooOld')) {
        throw new DpuError(
          'unsupported',
          'the control plane wants a newer compute service than the release that is set',
          {
            field: 'release',
            cause: error,
          },
        );
      }
      const made = isNova(error, 'ServiceBinaryExists') ? await getService(conductor, host) : undefined;
      if (made === undefined) throw error;
      return made;
    }
  }
  const version = conductor.release.serviceVersion;
  if (there.version !== version) await saveService(conductor, there, { version });
  return { ...there, version };
}
