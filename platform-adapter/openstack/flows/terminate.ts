import { hasCode } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { listBlockDevices } from '../wire/block-devices.ts';
import { cleanConsoles } from '../wire/console-tokens.ts';
import { destroyInstance, saveInstance } from '../wire/instances.ts';
import { novaError } from '../wire/nova-errors.ts';
import { tellInstanceGone } from '../wire/scheduler.ts';
import { flagArgument, readServer } from './arguments.ts';
import { bracketed, errorOut, requireOurs } from './bracket.ts';
import { destroyHere } from './compute.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { currentInstance, ifThere, novaNow, powerStates } from './nova-record.ts';
import { releasePorts } from './ports.ts';
import { rescueVolumeHere } from './rescue.ts';
import { giveBackRescueVolume } from './rescue-volume.ts';
import { madeVolumes, releaseVolumes, type VolumeToRelease } from './volumes.ts';

/**
 * Nobody may restore a server from here on whose time for that is over. It may have been while this waited.
 * @throws UnexpectedTaskStateError, also as nova's class.
 */
async function takeReclaimed(flow: Flow, signal: AbortSignal): Promise<void> {
  const conductor = flow.conductor(signal);
  const now = await currentInstance(conductor, flow.instance);
  if (now === undefined) return;
  if (now.vm_state !== 'soft-delete') throw novaError('UnexpectedTaskStateError');
  const options = { expectedTaskState: [null], repeat: true };
  await saveInstance(conductor, flow.instance, { task_state: 'deleting' }, options);
}

/** What nova has of the server, and which volumes it has, before anything of it is gone. */
function recordStage(flow: Flow): Stage {
  return {
    name: 'record',
    async run({ signal }) {
      const conductor = flow.adminConductor(signal);
      if (flow.request.reclaimed === true) await takeReclaimed(flow, signal);
      const record = await currentInstance(conductor, flow.instance, ['info_cache']);
      // a delete that somebody took back to evacuate the server is no delete any more
      if (record?.task_state !== 'deleting') requireOurs(flow, record);
      const devices = record === undefined ? [] : await listBlockDevices(conductor, flow.instance);
      const volumes = devices.flatMap(({ volume_id, attachment_id, delete_on_termination }): VolumeToRelease[] =>
        volume_id === null ? [] : [{ volume: volume_id, attachment: attachment_id, goesToo: delete_on_termination }],
      );
      // what a build that failed could not give back need not be in a mapping; of a server that was whole, such a volume is its user's, who took it away
      const made = sentInstance(flow).launched_at === null ? await madeVolumes(flow, signal) : [];
      const more = made.filter((each) => volumes.every(({ volume }) => volume !== each.volume));
      return {
        known: record !== undefined,
        id: record?.id ?? null,
        host: record?.host ?? null,
        networkInfo: (record ?? sentInstance(flow)).info_cache?.network_info ?? null,
        volumes: [...volumes, ...more] as unknown as Json,
        rescued: rescueVolumeHere(flow) !== null || sentInstance(flow).vm_state === 'rescued',
      };
    },
  };
}

/** What `recordStage` answered. */
function recorded(output: (stage: string) => Json): JsonObject {
  return output('record') as JsonObject;
}

function stages(flow: Flow): readonly Stage[] {
  return [
    recordStage(flow),
    {
      name: 'destroy',
      async run({ signal }) {
        await destroyHere(flow, signal);
        return undefined;
      },
    },
    {
      name: 'ports',
      async run({ signal, output }) {
        await releasePorts(flow, recorded(output).networkInfo as string | null, signal);
        return undefined;
      },
    },
    {
      name: 'volumes',
      async run({ signal, output }) {
        await releaseVolumes(flow, recorded(output).volumes as unknown as readonly VolumeToRelease[], signal);
        if (recorded(output).rescued === true) await giveBackRescueVolume(flow, signal);
        return undefined;
      },
    },
    {
      name: 'saved',
      async run({ signal }) {
        const changes = {
          vm_state: 'deleted',
          task_state: null,
          power_state: powerStates.nostate,
          terminated_at: novaNow(flow),
        };
        await ifThere(saveInstance(flow.conductor(signal), flow.instance, changes));
        return undefined;
      },
    },
    {
      name: 'allocation',
      async run({ signal }) {
        await flow.parts.placement.deleteAllocations(flow.instance, { signal, requestId: flow.context.request_id });
        flow.parts.resourcesChanged();
        return undefined;
      },
    },
    {
      name: 'forgotten',
      async run({ signal }) {
        await cleanConsoles(flow.adminConductor(signal), flow.instance);
        await tellInstanceGone(flow.parts.nova, { context: flow.context, signal }, flow.settings.host, flow.instance);
        return undefined;
      },
    },
    {
      name: 'gone',
      async run({ signal, output }) {
        const { known, id, host } = recorded(output);
        if (known !== true || typeof id !== 'number') return undefined;
        try {
          await destroyInstance(flow.conductor(signal), {
            id,
            uuid: flow.instance,
            host: typeof host === 'string' ? host : null,
          });
        } catch (error) {
          if (!hasCode(error, 'not_found')) throw error; // it was destroyed before
        }
        return undefined;
      },
    },
  ];
}

/**
 * terminate_instance, in whatever state the server is, known here or not. It overtakes all else that is under way, and goes forward only: nobody
 * wants a half-deleted server back. One that was asked for before the server went to another host is that host's.
 */
export const terminate: FlowDefinition = {
  planVersion: 1,
  overtakes: true,
  read: (args) => readServer(args, { reclaimed: flagArgument(args, 'reclaimed', false) }),
  plan: (flow) => bracketed(flow, stages(flow), { failure: errorOut, pivot: 'destroy' }),
};
