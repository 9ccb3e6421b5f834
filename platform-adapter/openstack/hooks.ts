import { hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { Random } from '../../core/ports/random.ts';
import { differsFrom } from './flows/power-sync.ts';
import type { FlowService } from './flows/service.ts';
import type { NodeHooks } from './node/nova-node.ts';
import { adminContext } from './wire/context.ts';

/** What the node's periodic work needs of those who handle servers. */
export interface HookParts {
  readonly service: Pick<ComputeService, 'getInstance'>;
  readonly flows: Pick<FlowService, 'accept' | 'busy'>;
  /** Takes requests from now on. */
  readonly serve: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Servers' part in the node's start and its periodic work: each piece is a flow of our own, after whatever runs for the server. */
export function createNodeHooks(parts: HookParts): NodeHooks {
  const { service, flows } = parts;

  /** A flow that nobody asked for. */
  async function own(method: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    const received = { context: adminContext(parts), credentials: null };
    await flows.accept({ method, args, received, uniqueId: null });
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
    async recover({ instances, evacuated }) {
      for (const { id, instance_uuid: instance } of evacuated) {
        if (instance !== null && !flows.busy(instance)) await own('evacuated', { instance, migration: id });
      }
      for (const { uuid, vm_state } of instances) {
        const here = stateOf(uuid);
        if (flows.busy(uuid) || vm_state === 'error') continue;
        if (here === undefined || here === 'deleted')
          parts.log.warn('nova has a server on this host that the node does not know', { instance: uuid, vm_state });
      }
    },
    serve: parts.serve,
    async healInfoCache(instance) {
      if (!flows.busy(instance)) await own('network_changed', { instance });
    },
    async syncPowerStates(instances) {
      for (const record of instances) {
        const state = stateOf(record.uuid);
        if (state === undefined || flows.busy(record.uuid) || !differsFrom(record, state)) continue;
        await own('power_sync', { instance: record.uuid, state });
      }
    },
    async confirmMoves(migrations) {
      for (const { id, instance_uuid: instance } of migrations) {
        if (instance !== null && !flows.busy(instance)) await own('confirm_window', { instance, migration: id });
      }
    },
  };
}
