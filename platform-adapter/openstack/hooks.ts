import { hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { Random } from '../../core/ports/random.ts';
import { isBack } from './flows/evacuated.ts';
import { differsFrom } from './flows/power-sync.ts';
import type { FlowService } from './flows/service.ts';
import type { NodeHooks } from './node/nova-node.ts';
import type { NovaRpc } from './wire/conductor.ts';
import { adminContext } from './wire/context.ts';
import { getInstance, listInstanceUuids, readInstance } from './wire/instances.ts';
import { isNova } from './wire/nova-errors.ts';

/** What the node's periodic work needs of those who handle servers. */
export interface HookParts {
  readonly nova: NovaRpc;
  /** nova's name of this host. */
  readonly host: string;
  readonly service: Pick<ComputeService, 'getInstance' | 'nodeStatus'>;
  readonly flows: Pick<FlowService, 'accept' | 'abandon' | 'busy' | 'settled'>;
  /** Takes requests from now on. */
  readonly serve: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** How long a start waits for what it removes; it goes on after that, side by side with requests. */
const removalMs = 60_000;

/** nova's running_deleted_instance_poll_interval. */
const reapIntervalMs = 1_800_000;

/** Servers' part in the node's start and its periodic work: each piece is a flow of our own, after whatever runs for the server. */
export function createNodeHooks(parts: HookParts): NodeHooks {
  const { service, flows } = parts;

  /** A flow that nobody asked for; answers its id. */
  async function own(method: string, args: Readonly<Record<string, unknown>>): Promise<string> {
    const received = { context: adminContext(parts), credentials: null };
    return (await flows.accept({ method, args, received, uniqueId: null })).id;
  }

  /** Instances of this node that are none of nova's servers on it, and that nova has deleted. What nova never knew is another platform's. */
  async function deletedInNova(servers: ReadonlySet<string>, signal: AbortSignal): Promise<readonly string[]> {
    const conductor = parts.nova.conductor({ context: adminContext(parts, 'yes'), signal });
    const found: string[] = [];
    for (const { uuid } of service.nodeStatus().instances) {
      if (servers.has(uuid)) continue;
      try {
        if ((await getInstance(conductor, uuid)).deleted) found.push(uuid);
      } catch (error) {
        if (!isNova(error, 'InstanceNotFound')) throw error;
      }
    }
    return found;
  }

  async function reap(instance: string): Promise<string> {
    parts.log.warn('nova has deleted a server that is still here; it is removed', { instance });
    return await own('reaped', { instance });
  }

  /** Waits until flows have ended or are stuck, for a while. */
  async function ended(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(removalMs)]);
    try {
      await Promise.all(ids.map((id) => flows.settled(id, limit)));
    } catch {
      signal.throwIfAborted(); // else it takes its time: a peer may be away for hours, and other servers must not wait for it
      parts.log.warn('servers that are not this host’s any more are removed later', { flows: ids });
    }
  }

  function stateOf(uuid: string): string | undefined {
    try {
      return service.getInstance(uuid).state;
    } catch (error) {
      if (hasCode(error, 'not_found')) return undefined;
      throw error;
    }
  }

  return {
    async recover({ instances, evacuated }, signal) {
      const removed: string[] = [];
      const conductor = parts.nova.conductor({ context: adminContext(parts, 'yes'), signal });
      for (const { id, instance_uuid: instance } of evacuated) {
        // begun by an earlier start, after which anything may have been asked for
        if (instance === null || flows.busy(instance, 'evacuated')) continue;
        // what was under way for it would be done, or taken back, on the other host's server
        if (!(await isBack(conductor, parts.host, { instance, migration: id }))) await flows.abandon(instance);
        removed.push(await own('evacuated', { instance, migration: id }));
      }
      const servers = new Set(instances.map(({ uuid }) => uuid));
      for (const uuid of await deletedInNova(servers, signal)) removed.push(await reap(uuid));
      await ended(removed, signal);
      for (const { uuid, vm_state } of instances) {
        const here = stateOf(uuid);
        if (flows.busy(uuid) || vm_state === 'error') continue;
        if (here === undefined || here === 'deleted')
          parts.log.warn('nova has a server on this host that the node does not know', { instance: uuid, vm_state });
      }
    },
    serve: parts.serve,
    async healInfoCache(instance) {
      if (!flows.busy(instance)) await own('network_changed', { instance, heal: true });
    },
    async syncPowerStates(instances) {
      for (const record of instances) {
        const state = stateOf(record.uuid);
        if (state === undefined || flows.busy(record.uuid) || !differsFrom(record, state)) continue;
        await own('power_sync', { instance: record.uuid, state });
      }
    },
    async reclaim(instances) {
      for (const instance of instances) {
        const { uuid } = readInstance(instance, 'instance');
        if (flows.busy(uuid)) continue;
        parts.log.info('a server that was deleted softly is deleted', { instance: uuid });
        await own('terminate_instance', { instance, reclaimed: true });
      }
    },
    async confirmMoves(migrations) {
      for (const { id, instance_uuid: instance } of migrations) {
        if (instance !== null && !flows.busy(instance)) await own('confirm_window', { instance, migration: id });
      }
    },
    tasks: [
      {
        name: 'reap',
        intervalMs: reapIntervalMs,
        async run(signal) {
          const conductor = parts.nova.conductor({ context: adminContext(parts), signal });
          const servers = new Set(await listInstanceUuids(conductor, parts.host));
          for (const uuid of await deletedInNova(servers, signal)) if (!flows.busy(uuid)) await reap(uuid);
        },
      },
    ],
  };
}
