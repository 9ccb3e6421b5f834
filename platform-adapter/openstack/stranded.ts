/** Servers whose request nobody works on any more: what nova's compute service puts right when it starts (_init_instance). */

import { DpuError, hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { Random } from '../../core/ports/random.ts';
import type { JsonObject } from '../../core/units.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { FlowService } from './flows/service.ts';
import type { PeriodicTask } from './node/periodic.ts';
import { ownScope } from './node/registration.ts';
import type { Placement } from './rest/placement.ts';
import type { Conductor, NovaRpc } from './wire/conductor.ts';
import { createFault } from './wire/instance-actions.ts';
import {
  getInstancePrimitive,
  listBuilding,
  listInstancesByHost,
  type NovaInstance,
  saveInstance,
} from './wire/instances.ts';
import { listMigrations } from './wire/migrations.ts';
import { isNova, isTaskStateError } from './wire/nova-errors.ts';

/** What is to be done about a server: fields that are set, or a request that is made once more; null: nothing. */
export type Mend = { readonly set: JsonObject } | { readonly ask: string; readonly args?: JsonObject } | null;

const given = (...names: readonly string[]): ReadonlySet<string | null> => new Set(names);
const building = given('scheduling', 'block_device_mapping', 'networking', 'spawning');
const rebuilding = given('rebuilding', 'rebuild_block_device_mapping', 'rebuild_spawning');
/** They end with nothing done. */
const harmless = given(
  'image_snapshot_pending',
  'image_pending_upload',
  'image_uploading',
  'image_snapshot',
  'resize_prep',
  'migrating',
);
const softReboot = given('rebooting', 'reboot_pending', 'reboot_started');
const hardReboot = given('rebooting_hard', 'reboot_pending_hard', 'reboot_started_hard');
const rebootBegan = given('reboot_started', 'reboot_started_hard');

const inError: Mend = { set: { vm_state: 'error', task_state: null } };
const asItIs: Mend = { set: { task_state: null } };

/**
 * As nova's _init_instance, by what nova has of the server and what it is here (undefined: nothing). Beyond nova, a reboot is made again whose request was lost
 * before it began.
 */
export function mendOf(
  { vm_state: vm, task_state: task }: Pick<NovaInstance, 'vm_state' | 'task_state'>,
  here: Instance['state'] | undefined,
): Mend {
  if (vm === 'soft-delete' || vm === 'deleted') return null;
  if (task === 'deleting') return { ask: 'terminate_instance' };
  if (task === 'resize_migrating') return here === 'active' || here === 'stopped' ? asItIs : inError;
  if (vm === 'error') return null;
  if (vm === 'building' || building.has(task)) return inError;
  if (rebuilding.has(task)) return inError;
  if (harmless.has(task)) return asItIs;
  if (task === 'powering-off') return { ask: 'stop_instance' };
  if (task === 'powering-on') return { ask: 'start_instance' };
  return rebootMend(task, here) ?? pauseMend(task, here);
}

function rebootMend(task: string | null, here: Instance['state'] | undefined): Mend {
  const isSoft = softReboot.has(task);
  if (!isSoft && !hardReboot.has(task)) return null;
  if (rebootBegan.has(task) && here === 'active') return { set: { task_state: null, vm_state: 'active' } };
  // one that is off by now can't be asked to end by itself
  if (isSoft && here !== 'active') return { set: { task_state: 'reboot_pending_hard' } };
  return { ask: 'reboot_instance', args: { reboot_type: isSoft ? 'SOFT' : 'HARD' } };
}

function pauseMend(task: string | null, here: Instance['state'] | undefined): Mend {
  if (task !== 'pausing' && task !== 'unpausing') return null;
  if (here === 'active') return { set: { task_state: null, vm_state: 'active' } };
  return task === 'unpausing' && here === 'paused' ? { ask: 'unpause_instance' } : null;
}

/** What the search for such servers works with. */
export interface StrandedParts {
  readonly nova: NovaRpc;
  readonly placement: Pick<Placement, 'findProviderByName' | 'providerAllocations'>;
  /** nova's names of this host and its node. */
  readonly host: string;
  readonly node: string;
  readonly flows: Pick<FlowService, 'accept' | 'busy'>;
  readonly service: Pick<ComputeService, 'getInstance'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Between requests are taken, the first look, and the second. */
const lookMs = 60_000;

/**
 * Looks twice after a start, a minute apart, for servers of this host whose task nobody works on: the journal was lost with the DPU, or the request was. What waits
 * in the host's queue is journaled long before. Nothing is done about a server that was under way, or another, at one of the looks.
 */
export function strandedTask(parts: StrandedParts): PeriodicTask {
  const { nova, flows, host, log } = parts;
  let first: ReadonlyMap<string, string | null> | undefined;
  let isOver = false;

  /** What a server is on this node; undefined: nothing. */
  function stateOf(uuid: string): Instance['state'] | undefined {
    try {
      return parts.service.getInstance(uuid).state;
    } catch (error) {
      if (hasCode(error, 'not_found')) return undefined;
      throw error;
    }
  }

  /** Whether another host makes it anew, or has: the task is that host's. */
  async function isEvacuated(conductor: Conductor, { uuid, task_state }: NovaInstance): Promise<boolean> {
    if (!rebuilding.has(task_state)) return false;
    const filters = { source_compute: host, migration_type: 'evacuation', instance_uuid: uuid };
    const status = ['accepted', 'pre-migrating', 'done', 'completed'];
    return (await listMigrations(conductor, { ...filters, status })).length > 0;
  }

  /** Servers that are scheduled to this node, and that no request to build has come for: nobody else knows of them. */
  async function unclaimed(conductor: Conductor, known: ReadonlySet<string>, signal: AbortSignal) {
    const provider = await parts.placement.findProviderByName(parts.node, { signal });
    if (provider === null) return [];
    const { allocations } = await parts.placement.providerAllocations(provider.uuid, { signal });
    const strangers = Object.keys(allocations).filter((consumer) => !known.has(consumer));
    return strangers.length === 0 ? [] : await listBuilding(conductor, strangers);
  }

  async function look(conductor: Conductor, signal: AbortSignal): Promise<readonly NovaInstance[]> {
    const own = await listInstancesByHost(conductor, host);
    const known = new Set(own.map(({ uuid }) => uuid));
    const all = [...own, ...(await unclaimed(conductor, known, signal))];
    const isOurs = (each: NovaInstance): boolean => each.host === host || each.host === null;
    return all.filter((each) => isOurs(each) && !flows.busy(each.uuid) && mendOf(each, stateOf(each.uuid)) !== null);
  }

  async function mend(conductor: Conductor, record: NovaInstance): Promise<void> {
    const { uuid, vm_state, task_state } = record;
    if (await isEvacuated(conductor, record)) return;
    let wanted = mendOf(record, stateOf(uuid));
    log.warn('nobody works on the task of a server any more; it is put right', {
      instance: uuid,
      vm_state,
      task_state,
    });
    if (wanted !== null && 'set' in wanted) {
      if (wanted.set.vm_state === 'error') {
        const lost = new DpuError('internal', 'the node lost the request at its restart');
        await createFault(conductor, uuid, host, lost);
      }
      await saveInstance(conductor, uuid, wanted.set, { expectedTaskState: [task_state] });
      if (wanted.set.task_state === null) return;
      wanted = { ask: 'reboot_instance', args: { reboot_type: 'HARD' } };
    }
    if (wanted === null) return;
    const instance = await getInstancePrimitive(conductor, uuid, [
      'flavor',
      'info_cache',
      'metadata',
      'system_metadata',
    ]);
    const { context } = ownScope(parts, new AbortController().signal);
    const received = { context, credentials: null };
    await flows.accept({ method: wanted.ask, args: { ...wanted.args, instance }, received, uniqueId: null });
  }

  return {
    name: 'stranded',
    intervalMs: lookMs,
    async run(signal) {
      if (isOver) return;
      const conductor = nova.conductor(ownScope(parts, signal));
      const found = await look(conductor, signal);
      if (first === undefined) {
        first = new Map(found.map(({ uuid, task_state }) => [uuid, task_state]));
        return;
      }
      for (const record of found) {
        if (!first.has(record.uuid) || first.get(record.uuid) !== record.task_state) continue;
        try {
          await mend(conductor, record);
        } catch (error) {
          // somebody else has it since we looked
          if (!isTaskStateError(error) && !isNova(error, 'InstanceNotFound')) throw error;
        }
      }
      isOver = true;
    },
  };
}
