import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { ComputeService } from '../../../core/ports/compute-service.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Random } from '../../../core/ports/random.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { Placement } from '../rest/placement.ts';
import type { Conductor, NovaRpc } from '../wire/conductor.ts';
import { getInstance, listInstancesByNode, type NovaInstance } from '../wire/instances.ts';
import { listMigrationsInProgress, type NovaMigration } from '../wire/migrations.ts';
import { isNova } from '../wire/nova-errors.ts';
import { changed } from '../wire/objects.ts';
import {
  type ComputeNodeRecord,
  createComputeNode,
  getComputeNode,
  getComputeService,
  hypervisorSpec,
  listComputeNodes,
  saveComputeNode,
} from '../wire/service-records.ts';
import { hypervisorOf, nodeFields, usageFields } from './node-record.ts';
import { offerOf } from './offer.ts';
import { createProvider, type Provider } from './provider.ts';
import { ownScope } from './registration.ts';
import type { NodeSettings } from './settings.ts';

/** What reporting resources works with. */
export interface ResourceParts {
  readonly rpc: NovaRpc;
  readonly placement: Placement;
  readonly service: Pick<ComputeService, 'nodeStatus'>;
  readonly settings: NodeSettings;
  /** Builds that failed here since the last that did not: the scheduler prefers hosts with none. Absent: 0. */
  readonly failedBuilds?: () => number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Tells nova and Placement what the node has and what of it is used. */
export interface Resources {
  /**
   * nova's update_available_resource: makes the node's record where there is none, saves what changed, reports to Placement.
   * @throws `not_found` when the record was there and is not any more: an operator took the node out.
   */
  update(signal: AbortSignal): Promise<void>;
  /**
   * As `update`, soon after servers came or went: asks for nova's servers and for nothing else that it was told in the last `resourcesIntervalMs`. A
   * whole `update` where that is longer ago, or failed.
   */
  updateUsage(signal: AbortSignal): Promise<void>;
  /** nova's set_host_enabled: the trait at once, and the service's record is the API's affair. */
  setEnabled(enabled: boolean, signal: AbortSignal): Promise<void>;
  /** The node's record, once it was made or found. */
  record(): ComputeNodeRecord | undefined;
}

const usedAttributes = ['system_metadata', 'numa_topology', 'flavor', 'migration_context', 'resources'] as const;

/** Keeps the record and the provider of the node. */
export function createResources(parts: ResourceParts): Resources {
  const { rpc, settings, log } = parts;
  let record: ComputeNodeRecord | undefined;
  let provider: Provider | undefined;
  /** What nova has of us; undefined: unknown, so everything is saved. */
  let saved: JsonObject | undefined;
  /** Until when what the last whole update found is good enough, by the monotonic clock; 0: there was none, or an update failed since. */
  let trustedUntil = 0;
  /** Whether an operator disabled the service in nova. */
  let disabled = false;

  function factsOf(conductor: Conductor, instances: readonly NovaInstance[]) {
    const status = parts.service.nodeStatus();
    const spec = hypervisorSpec(conductor, settings.arch, hypervisorOf(status).spec);
    return { settings, status, instances, spec, failedBuilds: parts.failedBuilds?.() ?? 0 };
  }

  async function ensureRecord(conductor: Conductor): Promise<{ node: ComputeNodeRecord; isNew: boolean }> {
    const nodes = await listComputeNodes(conductor, settings.host);
    const there =
      nodes.find(({ hypervisor_hostname }) => hypervisor_hostname === settings.node) ??
      (await getComputeNode(conductor, settings.host, settings.node));
    if (there !== undefined) {
      if (there.uuid !== settings.uuid && record === undefined) {
        log.warn('the node is known to nova under another uuid, which stays that of its resource provider', {
          uuid: there.uuid,
        });
      }
      return { node: there, isNew: false };
    }
    if (record !== undefined) throw new DpuError('not_found', "the node's record was deleted in nova");
    // with usage at once: the scheduler drops a node whose usage it does not know
    const facts = factsOf(conductor, []);
    // a deleted record of this uuid comes to life again, and would say that its cell knows the host: nobody would look for it any more
    const values = { ...nodeFields(facts), ...usageFields(facts), uuid: settings.uuid, mapped: 0 };
    const node = await createComputeNode(conductor, values);
    saved = values;
    return { node, isNew: true };
  }

  function providerOf(node: ComputeNodeRecord): Provider {
    if (provider === undefined || record?.uuid !== node.uuid) {
      const { placement, clock } = parts;
      provider = createProvider({ placement, clock, log, uuid: node.uuid, name: settings.node });
    }
    return provider;
  }

  /** Drops what Placement still holds for servers that nova has deleted: a delete whose end was lost. */
  async function dropAllocations(
    conductor: Conductor,
    consumers: readonly string[],
    instances: readonly NovaInstance[],
    migrations: readonly NovaMigration[],
    signal: AbortSignal,
  ): Promise<void> {
    const known = new Set([...instances.map(({ uuid }) => uuid), ...migrations.map(({ uuid }) => uuid)]);
    const deleted = conductor.under(ownScope(parts, signal, 'yes'));
    for (const consumer of consumers) {
      if (known.has(consumer)) continue;
      try {
        const instance = await getInstance(deleted, consumer, ['flavor']);
        if (!instance.deleted) continue; // on its way here, or away: whoever moves it moves the allocation
      } catch (error) {
        if (!isNova(error, 'InstanceNotFound')) throw error;
        continue; // scheduled, and not yet in the cell; or nothing of nova's
      }
      log.warn('an allocation of a deleted server is removed', { instance: consumer });
      await parts.placement.deleteAllocations(consumer, { signal });
    }
  }

  /** Saves what changed of the record, and reports to Placement. */
  async function tell(
    conductor: Conductor,
    node: ComputeNodeRecord,
    instances: readonly NovaInstance[],
    signal: AbortSignal,
    lookFirst: () => Promise<void> = async () => {},
  ): Promise<void> {
    const facts = factsOf(conductor, instances);
    const wanted = { ...nodeFields(facts), ...usageFields(facts) };
    const changes = changed(saved ?? {}, wanted);
    if (Object.keys(changes).length > 0) {
      await saveComputeNode(conductor, node, changes);
      saved = { ...saved, ...wanted };
    }
    const servers = new Set(instances.map(({ uuid }) => uuid));
    await lookFirst();
    await providerOf(node).report(offerOf(settings, facts.status, { servers, disabled }), signal);
  }

  async function updateAll(signal: AbortSignal): Promise<void> {
    const conductor = rpc.conductor(ownScope(parts, signal));
    const until = parts.clock.monotonicMs() + settings.resourcesIntervalMs;
    trustedUntil = 0;
    const { node, isNew } = await ensureRecord(conductor);
    const kept = providerOf(node);
    if (record?.id !== node.id && !isNew) saved = undefined;
    record = node;
    const { host, node: name } = settings;
    const instances = await listInstancesByNode(conductor, host, name, usedAttributes);
    const migrations = await listMigrationsInProgress(conductor, host, name);
    if (!isNew) await dropAllocations(conductor, await kept.consumers(signal), instances, migrations, signal);
    await tell(conductor, node, instances, signal, async () => {
      ({ disabled } = await getComputeService(conductor, host));
    });
    trustedUntil = until;
  }

  return {
    update: updateAll,
    async updateUsage(signal) {
      const until = trustedUntil;
      if (record === undefined || parts.clock.monotonicMs() >= until) {
        await updateAll(signal);
        return;
      }
      const conductor = rpc.conductor(ownScope(parts, signal));
      trustedUntil = 0;
      await tell(conductor, record, await listInstancesByNode(conductor, settings.host, settings.node), signal);
      trustedUntil = until;
    },
    async setEnabled(enabled, signal) {
      disabled = !enabled;
      if (provider !== undefined) await provider.setDisabled(disabled || !parts.service.nodeStatus().ready, signal);
    },
    record: () => record,
  };
}
