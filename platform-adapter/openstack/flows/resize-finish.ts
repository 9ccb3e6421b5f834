import type { JsonObject } from '../../../core/units.ts';
import { getInstancePrimitive, readInstance, saveInstance } from '../wire/instances.ts';
import { isNova } from '../wire/nova-errors.ts';
import { tellInstanceGone } from '../wire/scheduler.ts';
import { bracketed, bracketStages, errorOut, type FailurePolicy, tellFailure } from './bracket.ts';
import { tellSchedulersStage } from './build.ts';
import { spawnStage } from './build-stages.ts';
import { destroyHere } from './compute.ts';
import type { Flow, FlowDefinition, Stage } from './flow.ts';
import {
  asBeforeStage,
  castStage,
  flavorChanges,
  flavorsOf,
  freeMigration,
  giveBackPlace,
  isSameHost,
  isWanted,
  migrationGuard,
  migrationOf,
  migrationStage,
  readMove,
  readMoveTo,
  wasStopped,
  withoutOldState,
} from './migration.ts';
import { keepVolumesStage, keptPortsStage, keptVolumesStage } from './moved-server.ts';
import { currentInstance, ifThere, novaNow, powerStates, saveStage } from './nova-record.ts';
import { pluggedStage, refreshInfoCache } from './ports.ts';

/** The server with its ports and volumes on this node: they are bound and attached here, the instance is made, and off where it was off. */
function arrivalStages(flow: Flow): readonly Stage[] {
  return [
    keptPortsStage(flow),
    {
      name: 'info-cache',
      async run({ signal }) {
        await refreshInfoCache(flow, signal);
        return undefined;
      },
    },
    keptVolumesStage(flow),
    spawnStage(flow),
    pluggedStage(flow),
    asBeforeStage(flow),
  ];
}

/** Takes off the record what this move keeps in it; one that is gone is fine. */
async function forgetMove(flow: Flow, signal: AbortSignal): Promise<void> {
  try {
    const conductor = flow.conductor(signal);
    const found = await getInstancePrimitive(conductor, flow.instance, [
      'flavor',
      'system_metadata',
      'migration_context',
    ]);
    const { flavor = null } = found['nova_object.data'];
    const { system_metadata, migration_context: context } = readInstance(found, 'instance');
    if (context?.migration_id !== migrationOf(flow).id) return; // done by an earlier try, and its user may have moved it again since
    const changes: JsonObject = {
      flavor,
      old_flavor: null,
      new_flavor: null,
      migration_context: null,
      system_metadata: withoutOldState(system_metadata),
    };
    await saveInstance(conductor, flow.instance, changes);
  } catch (error) {
    if (!isNova(error, 'InstanceNotFound')) throw error;
  }
}

/** The stage `forgotten`: what the move kept in the server's record goes. */
function forgetStage(flow: Flow): Stage {
  return {
    name: 'forgotten',
    async run({ signal }) {
      await forgetMove(flow, signal);
      return undefined;
    },
  };
}

/** What the server is after a move that ended: its power, and no task. */
function settled(flow: Flow): JsonObject {
  return {
    power_state: wasStopped(flow) ? powerStates.shutdown : powerStates.running,
    task_state: null,
    launched_at: novaNow(flow),
  };
}

/**
 * finish_resize, at the destination: the instance is made here with the new flavor. One that fails is in error here, with its volumes kept for it; the place
 * on the source is free then.
 */
const finishResize: FlowDefinition = {
  planVersion: 1,
  read: (args) =>
    readMoveTo(args, (flavors, { old_instance_type_id: old, new_instance_type_id: next }) =>
      old === next ? flavors.flavor : (flavors.new_flavor ?? flavors.flavor),
    ),
  plan(flow) {
    const flavors = flavorsOf(flow);
    const { old_instance_type_id: old, new_instance_type_id: next } = migrationOf(flow);
    const kept = { ...flavors, old_flavor: flavors.flavor };
    const resized = old === next ? kept : { ...kept, ...flavorChanges(flow.request.target ?? null) };
    const finishing = saveStage(flow, 'resize_finish', { ...resized, task_state: 'resize_finish' }, [
      'resize_migrated',
    ]);
    const stages: readonly Stage[] = [
      migrationGuard(flow, { goesBack: false }),
      {
        ...finishing,
        async undo(context) {
          if (await isWanted(flow, context.signal))
            await saveStage(flow, 'as-it-was', { ...kept, ...flavorChanges(flavors.flavor) }).run(context);
        },
      },
      ...arrivalStages(flow),
      migrationStage(flow, 'finished'),
      saveStage(flow, 'resized', () => ({ ...settled(flow), vm_state: 'resized' }), ['resize_finish']),
      tellSchedulersStage(flow),
    ];
    return bracketed(flow, stages, { failure: errorOut, pivot: 'schedulers' });
  },
};

/** The server is what it is on the other host: `active`, or `stopped` where it is off. */
async function confirmServer(flow: Flow, signal: AbortSignal): Promise<void> {
  const conductor = flow.conductor(signal);
  const now = readInstance(await getInstancePrimitive(conductor, flow.instance), 'instance');
  if (now.vm_state !== 'resized') return; // confirmed by an earlier try, and its user may have done more since
  const off = now.power_state === powerStates.shutdown;
  await saveInstance(
    conductor,
    flow.instance,
    { vm_state: off ? 'stopped' : 'active', task_state: null },
    { expectedTaskState: [null, 'deleting', 'soft-deleting'] },
  );
}

function confirmStages(flow: Flow): readonly Stage[] {
  return [
    {
      name: 'destroy',
      async run({ signal }) {
        // it went with resize_instance; what an operator brought back since must not be there twice
        const now = await currentInstance(flow.conductor(signal), flow.instance);
        if (now?.host !== flow.settings.host) await destroyHere(flow, signal);
        return undefined;
      },
    },
    migrationStage(flow, 'confirmed'),
    {
      name: 'confirmed-server',
      async run({ signal }) {
        await ifThere(confirmServer(flow, signal));
        return undefined;
      },
    },
    {
      name: 'allocation',
      async run({ signal }) {
        await freeMigration(flow, signal);
        return undefined;
      },
    },
    {
      name: 'schedulers',
      async run({ signal }) {
        if (!isSameHost(flow))
          await tellInstanceGone(flow.parts.nova, flow.scope(signal), flow.settings.host, flow.instance);
        return undefined;
      },
    },
    forgetStage(flow),
  ];
}

/** Whether the migration may be confirmed: nova's API said so, and it was not confirmed before. */
function isConfirmable(flow: Flow): boolean {
  const { status } = migrationOf(flow);
  return status === 'finished' || status === 'confirming';
}

/** confirm_resize, at the source: the server stays on its new host, and its place here is free. It goes forward only. */
const confirmResize: FlowDefinition = {
  planVersion: 1,
  read: (args) => readMove(args),
  plan: (flow) =>
    bracketed(flow, isConfirmable(flow) ? confirmStages(flow) : [], {
      failure: errorOut,
      pivot: bracketStages.begin,
    }),
};

/** revert_resize, at the destination: the instance goes from the node, and its old host is asked to make it again. */
const revertResize: FlowDefinition = {
  planVersion: 1,
  read: (args) => readMove(args),
  plan(flow) {
    const { host } = flow.settings;
    const stages: readonly Stage[] = [
      saveStage(flow, 'resize_reverting', { task_state: 'resize_reverting' }, ['resize_reverting']),
      {
        name: 'destroy',
        async run({ signal }) {
          await destroyHere(flow, signal);
          return undefined;
        },
      },
      keepVolumesStage(flow),
      migrationStage(flow, 'reverted'),
      castStage(flow, { host: migrationOf(flow).source_compute ?? host, method: 'finish_revert_resize' }),
      {
        name: 'schedulers',
        async run({ signal }) {
          if (!isSameHost(flow)) await tellInstanceGone(flow.parts.nova, flow.scope(signal), host, flow.instance);
          flow.parts.resourcesChanged();
          return undefined;
        },
      },
    ];
    return bracketed(flow, stages, { failure: errorOut, pivot: 'destroy' });
  },
};

/** The server is in error on this host, which it is on by now, and nothing is left of the move. */
const revertFailure: FailurePolicy = {
  fault: true,
  async instead(flow, error, signal, wayBack) {
    await tellFailure(flow, error, errorOut, signal, wayBack);
    await forgetMove(flow, signal);
  },
};

/** finish_revert_resize, at the source: the instance is made here again with its old flavor, and is as it was. */
const finishRevertResize: FlowDefinition = {
  planVersion: 1,
  read: (args) => readMoveTo(args, ({ flavor, old_flavor }) => old_flavor ?? flavor),
  plan(flow) {
    const { host, node } = flow.settings;
    const { old_flavor, new_flavor } = flavorsOf(flow);
    const back: JsonObject = { ...flavorChanges(flow.request.target ?? null), old_flavor, new_flavor, host, node };
    const stages: readonly Stage[] = [
      migrationGuard(flow, { goesBack: true }),
      saveStage(flow, 'back', { ...back, task_state: 'resize_reverting' }, ['resize_reverting']),
      {
        name: 'allocation',
        async run({ signal }) {
          await giveBackPlace(flow, signal);
          return undefined;
        },
      },
      ...arrivalStages(flow),
      saveStage(
        flow,
        'reverted-server',
        () => ({ ...settled(flow), vm_state: wasStopped(flow) ? 'stopped' : 'active' }),
        ['resize_reverting'],
      ),
      forgetStage(flow),
      tellSchedulersStage(flow),
    ];
    return bracketed(flow, stages, { failure: revertFailure, pivot: 'forgotten' });
  },
};

/** Methods that end a server's move, or take it back. */
export const resizeFinishFlows: Readonly<Record<string, FlowDefinition>> = {
  finish_resize: finishResize,
  confirm_resize: confirmResize,
  revert_resize: revertResize,
  finish_revert_resize: finishRevertResize,
};
