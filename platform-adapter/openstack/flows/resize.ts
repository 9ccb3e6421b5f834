import { DpuError } from '../../../core/errors.ts';
import type { StepContext } from '../../../core/operation/plan.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { rescheduleResize } from '../wire/compute-task.ts';
import { readFlavor } from '../wire/instances.ts';
import { emptyMigrationContext } from '../wire/migrations.ts';
import { faultOf, novaError } from '../wire/nova-errors.ts';
import { type Arguments, flagArgument, rawArgument } from './arguments.ts';
import { bracketed, type FailurePolicy, putBack, writeFault } from './bracket.ts';
import { buildArguments, claimStage } from './build-stages.ts';
import { compute, destroyHere, stateHere } from './compute.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { groupHint, withinGroup } from './group-policy.ts';
import {
  asBefore,
  castStage,
  flavorsOf,
  isWanted,
  migrationGuard,
  migrationOf,
  migrationStage,
  objectArgument,
  readMove,
  serverToSend,
} from './migration.ts';
import { keepVolumesStage, keptPortsStage, keptVolumesStage } from './moved-server.ts';
import { saveStage, zoneSent } from './nova-record.ts';

/** How long a host has to go off by itself, in seconds (nova's shutdown_timeout). */
const softSeconds = 60;

/** The flavor that is asked for: `flavor`, or `instance_type` of callers before compute RPC 6.0. */
function wantedFlavor(args: Arguments): Json {
  const flavor = objectArgument(args, 'flavor', 'instance_type');
  readFlavor(flavor, 'flavor');
  return flavor;
}

/** What the conductor gets back where the move is to be tried on another host. */
function retryOf(flow: Flow): JsonObject | null {
  const retry = (flow.request.filterProperties as JsonObject | null)?.retry;
  return typeof retry === 'object' && retry !== null && !Array.isArray(retry) ? (retry as JsonObject) : null;
}

/** The server has not moved: another host is tried where the scheduler says that it may be, else the server is as it was, with a fault. */
const prepFailure: FailurePolicy = {
  fault: true,
  async instead(flow, error, signal) {
    await writeFault(flow, error, signal);
    const retry = retryOf(flow);
    const instance = retry === null || !(await isWanted(flow, signal)) ? undefined : await serverToSend(flow, signal);
    if (retry === null || instance === undefined) {
      await putBack(flow, sentInstance(flow).vm_state ?? undefined, signal);
      return;
    }
    const { message } = faultOf(error);
    const properties = { ...(flow.request.filterProperties as JsonObject), retry: { ...retry, exc: [message] } };
    await rescheduleResize(flow.conductor(signal), {
      instance: instance as unknown as Json,
      scheduler_hint: { filter_properties: properties },
      live: false,
      rebuild: false,
      flavor: flavorsOf(flow).new_flavor,
      block_migration: null,
      disk_over_commit: null,
      reservations: null,
      clean_shutdown: flow.request.clean ?? true,
      request_spec: flow.request.requestSpec ?? null,
      host_list: flow.request.hostList ?? null,
    });
  },
};

/** @throws UnableToMigrateToSelf as nova's class: the same flavor on the same host is no move. */
function elsewhereStage(flow: Flow): Stage {
  return {
    name: 'elsewhere',
    async run() {
      const { host } = flow.settings;
      const { flavor, new_flavor } = flavorsOf(flow);
      if (sentInstance(flow).host === null)
        throw novaError('MigrationError', { reason: 'Instance has no source host' });
      if (sentInstance(flow).host !== host || readFlavor(flavor).id !== readFlavor(new_flavor).id) return undefined;
      throw novaError('UnableToMigrateToSelf', { instance_id: flow.instance, host });
    },
  };
}

function prepStages(flow: Flow): readonly Stage[] {
  const { host, node, connector } = flow.settings;
  const server = sentInstance(flow);
  return [
    migrationGuard(flow, { goesBack: true }),
    elsewhereStage(flow),
    claimStage(flow),
    withinGroup(
      flow,
      groupHint(flow.request.filterProperties, flow.request.requestSpec),
      saveStage(
        flow,
        'stashed',
        {
          ...flavorsOf(flow),
          ...zoneSent(flow),
          system_metadata: { ...server.system_metadata, old_vm_state: server.vm_state ?? 'active' },
        },
        ['resize_prep'],
      ),
    ),
    migrationStage(flow, 'pre-migrating', { dest_compute: host, dest_node: node, dest_host: connector.ip }),
    {
      name: 'context',
      async run(context) {
        const migration_context = emptyMigrationContext(flow.parts.nova.release, flow.instance, migrationOf(flow).id);
        await saveStage(flow, 'context', { migration_context: migration_context as unknown as Json }).run(context);
        return undefined;
      },
      async undo(context) {
        if (await isWanted(flow, context.signal))
          await saveStage(flow, 'context', { migration_context: null }).run(context);
      },
    },
    castStage(flow, {
      host: server.host ?? host,
      method: 'resize_instance',
      more: {
        image: flow.request.image ?? null,
        flavor: flavorsOf(flow).new_flavor,
        clean_shutdown: flow.request.clean ?? true,
      },
    }),
  ];
}

/** prep_resize, at the destination: whether the node may have the server; then its host is asked to let it go. */
const prepResize: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const { instance, request } = readMove(args, {
      clean: flagArgument(args, 'clean_shutdown', true),
      filterProperties: rawArgument(args, 'filter_properties'),
      hostList: rawArgument(args, 'host_list'),
    });
    const flavors = { ...(request.flavors as JsonObject), new_flavor: wantedFlavor(args) };
    return { instance, request: { ...request, flavors } };
  },
  plan: (flow) => bracketed(flow, prepStages(flow), { failure: prepFailure, pivot: 'cast' }),
};

/** Makes the instance here once more, with its ports and volumes as nova has them, off where it was off. A server that is being deleted is not wanted back. */
async function bringBack(flow: Flow, context: StepContext): Promise<void> {
  const { signal } = context;
  if (context.failure() === null || !(await isWanted(flow, signal))) return;
  const stopped = sentInstance(flow).vm_state === 'stopped';
  const state = stateHere(flow);
  if (state === undefined) {
    const volumes = (await keptVolumesStage(flow).run(context)) ?? null;
    const ports = (await keptPortsStage(flow).run(context)) ?? null;
    const args = buildArguments(flow, (stage) => (stage === 'volumes' ? volumes : ports));
    await compute(flow, 'back', 'build_and_run_instance', args, signal);
    await asBefore(flow, stopped, signal);
  } else if (state === 'stopped') {
    if (!stopped) await compute(flow, 'on-again', 'start_instance', { uuid: flow.instance }, signal);
  } else if (state !== 'active') {
    throw new DpuError('hardware', 'the instance could not be taken off the node, and is not whole any more');
  }
  flow.parts.resourcesChanged();
}

/** The stage `take-off`: the instance is off and gone from the node; all of its disks are Cinder's. Its undo makes it again. */
function takeOffStage(flow: Flow): Stage {
  return {
    name: 'take-off',
    async run({ signal }) {
      if (flow.request.clean !== false && stateHere(flow) === 'active')
        await compute(flow, 'off', 'stop_instance', { uuid: flow.instance, timeout: softSeconds }, signal);
      await destroyHere(flow, signal);
      return undefined;
    },
    undo: (context) => bringBack(flow, context),
  };
}

function resizeStages(flow: Flow): readonly Stage[] {
  const { dest_compute: host, dest_node: node } = migrationOf(flow);
  if (host === null) throw new DpuError('invalid', 'the migration has no destination', { field: 'migration' });
  const { flavor, new_flavor } = flavorsOf(flow);
  const { host: source, node: sourceNode } = flow.settings;
  return [
    migrationGuard(flow, { goesBack: true }),
    migrationStage(flow, 'migrating'),
    saveStage(flow, 'resize_migrating', { task_state: 'resize_migrating' }, ['resize_prep']),
    takeOffStage(flow),
    keepVolumesStage(flow),
    migrationStage(flow, 'post-migrating'),
    {
      ...saveStage(
        flow,
        'moved',
        { host, node, flavor, old_flavor: flavor, new_flavor, task_state: 'resize_migrated' },
        ['resize_migrating'],
      ),
      async undo(context) {
        if (await isWanted(flow, context.signal))
          await saveStage(flow, 'moved', { host: source, node: sourceNode }).run(context);
      },
    },
    castStage(flow, {
      host,
      method: 'finish_resize',
      more: { image: flow.request.image ?? null, disk_info: null },
    }),
    {
      name: 'resources',
      run() {
        flow.parts.resourcesChanged();
        return Promise.resolve(undefined);
      },
    },
  ];
}

/**
 * resize_instance, at the source: the instance goes from the node, its volumes are kept for the server by reserved attachments, and the destination is
 * asked to make it. What fails before that takes it back: the instance is made here again.
 */
const resizeInstance: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const { instance, request } = readMove(args, { clean: flagArgument(args, 'clean_shutdown', true) });
    const flavors = request.flavors as JsonObject;
    return {
      instance,
      request: { ...request, flavors: { ...flavors, new_flavor: flavors.new_flavor ?? wantedFlavor(args) } },
    };
  },
  plan: (flow) =>
    bracketed(flow, resizeStages(flow), {
      failure: { fault: true, vmState: () => sentInstance(flow).vm_state ?? undefined },
      pivot: 'cast',
    }),
};

/** Methods that take a server from its host. */
export const resizeFlows: Readonly<Record<string, FlowDefinition>> = {
  prep_resize: prepResize,
  resize_instance: resizeInstance,
};
