import { hasCode } from '../../../core/errors.ts';
import type { Json } from '../../../core/units.ts';
import { saveInstance } from '../wire/instances.ts';
import { novaError } from '../wire/nova-errors.ts';
import { tellInstanceGone } from '../wire/scheduler.ts';
import { flagArgument, readServer } from './arguments.ts';
import { bracketed, revert } from './bracket.ts';
import { tellSchedulersStage } from './build.ts';
import { claimStage, spawnStage } from './build-stages.ts';
import { compute, destroyHere, stateHere } from './compute.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { keepVolumesStage, keptPortsStage, keptVolumesStage } from './moved-server.ts';
import { currentInstance, hereNow, ifThere, novaNow, nowhere, powerStates, saveStage } from './nova-record.ts';
import { pluggedStage, refreshInfoCache } from './ports.ts';

/** How long a host has to go off by itself, in seconds (nova's shutdown_timeout). */
const softSeconds = 60;

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/** The allocation of the server ends: another may have the place. */
function freeStage(flow: Flow): Stage {
  return {
    name: 'allocation',
    async run({ signal }) {
      await flow.parts.placement.deleteAllocations(flow.instance, options(flow, signal));
      flow.parts.resourcesChanged();
      return undefined;
    },
  };
}

/**
 * shelve_offload_instance: the instance goes from the node, its volumes and ports stay the server's. This is all of a shelve, since every disk of ours is a
 * volume: nova's API asks for no image then.
 */
const offload: FlowDefinition = {
  planVersion: 1,
  read: (args) => readServer(args, { clean: flagArgument(args, 'clean_shutdown', true) }),
  plan(flow) {
    const stages: readonly Stage[] = [
      {
        name: 'stop',
        async run({ signal }) {
          if (stateHere(flow) !== 'active' || flow.request.clean === false) return undefined;
          const args = { uuid: flow.instance, timeout: softSeconds };
          await compute(flow, 'stop', 'stop_instance', args, signal);
          return undefined;
        },
      },
      {
        name: 'destroy',
        async run({ signal }) {
          await destroyHere(flow, signal);
          return undefined;
        },
      },
      keepVolumesStage(flow),
      freeStage(flow),
      saveStage(
        flow,
        'offloaded',
        { vm_state: 'shelved_offloaded', task_state: null, power_state: powerStates.shutdown },
        ['shelving', 'shelving_offloading'],
      ),
      {
        name: 'nowhere',
        async run({ signal }) {
          const conductor = flow.conductor(signal);
          // after a restart it may be on another host by now
          const now = await currentInstance(conductor, flow.instance);
          if (now?.host === flow.settings.host) await ifThere(saveInstance(conductor, flow.instance, nowhere));
          await tellInstanceGone(flow.parts.nova, { context: flow.context, signal }, flow.settings.host, flow.instance);
          return undefined;
        },
      },
    ];
    return bracketed(flow, stages, { failure: revert, pivot: 'destroy', ours: true });
  },
};

/** The image that a server shelved elsewhere left; null for one whose disks are volumes. */
function shelvedImage(flow: Flow): string | null {
  const { image } = flow.request;
  return typeof image === 'string' ? image : null;
}

/**
 * The task state, unless another host has the server: this request may have waited for hours while its host was down, and two hosts would make the server.
 * @throws UnexpectedTaskStateError, also as nova's class.
 */
function beginStage(flow: Flow): Stage {
  const save = saveStage(flow, 'spawning', { task_state: 'spawning' }, ['unshelving', 'spawning']);
  return {
    ...save,
    async run(context) {
      const now = await currentInstance(flow.conductor(context.signal), flow.instance);
      const host = now?.host ?? null;
      if (host !== null && host !== flow.settings.host) throw novaError('UnexpectedTaskStateError');
      return await save.run(context);
    },
  };
}

function unshelveStages(flow: Flow): readonly Stage[] {
  return [
    beginStage(flow),
    {
      ...claimStage(flow),
      // the place that the scheduler kept for it, whether or not the node refused the claim
      async undo({ signal }) {
        await flow.parts.placement.deleteAllocations(flow.instance, options(flow, signal));
      },
      leaves: true,
    },
    {
      name: 'claimed',
      async run({ signal }) {
        await saveInstance(flow.conductor(signal), flow.instance, hereNow(flow));
        return undefined;
      },
      async undo({ signal }) {
        await ifThere(saveInstance(flow.conductor(signal), flow.instance, nowhere));
      },
    },
    keptVolumesStage(flow, shelvedImage(flow)),
    keptPortsStage(flow),
    {
      name: 'info-cache',
      async run({ signal }) {
        await refreshInfoCache(flow, signal);
        return undefined;
      },
    },
    spawnStage(flow),
    pluggedStage(flow),
    saveStage(
      flow,
      'active',
      () => ({
        vm_state: 'active',
        power_state: powerStates.running,
        task_state: null,
        launched_at: novaNow(flow),
        system_metadata: unshelvedMetadata(flow),
      }),
      ['spawning'],
    ),
    {
      name: 'image',
      async run({ signal }) {
        const image = shelvedImage(flow);
        if (image === null) return undefined;
        try {
          await flow.services().glance.deleteImage(image, options(flow, signal));
        } catch (error) {
          if (!hasCode(error, 'not_found') && !hasCode(error, 'denied')) throw error; // as with nova: it stays then
        }
        return undefined;
      },
    },
    tellSchedulersStage(flow),
  ];
}

/** What a server's system metadata says of being shelved goes. */
function unshelvedMetadata(flow: Flow): Json {
  const { system_metadata } = sentInstance(flow);
  return Object.fromEntries(
    Object.entries(system_metadata ?? {}).filter(([name]) => !/^shelved_(at|image_id|host)$/.test(name)),
  );
}

/** unshelve_instance: as a build with the ports and volumes that the server has. One that fails is shelved as it was. */
const unshelve: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const { image } = args;
    const id = typeof image === 'object' && image !== null ? (image as { readonly id?: unknown }).id : null;
    return readServer(args, { image: typeof id === 'string' ? id : null, adminPassword: null });
  },
  plan: (flow) => bracketed(flow, unshelveStages(flow), { failure: revert, pivot: 'image' }),
};

/** Methods that take a server from its host and put it on one again. */
export const shelveFlows: Readonly<Record<string, FlowDefinition>> = {
  shelve_offload_instance: offload,
  unshelve_instance: unshelve,
};
