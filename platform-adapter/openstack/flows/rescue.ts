import { rescueFunctionId } from '../../../core/derived-ids.ts';
import { DpuError } from '../../../core/errors.ts';
import { asId, type InstanceId, type Json, type JsonObject } from '../../../core/units.ts';
import { novaError } from '../wire/nova-errors.ts';
import { type Arguments, readServer, textArgument } from './arguments.ts';
import { bracketed, errorOut, type FailurePolicy, isAway } from './bracket.ts';
import { compute, destroyHere, stateHere } from './compute.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { novaNow, powerStates, saveStage } from './nova-record.ts';
import { giveBackRescueVolume, makeRescueVolume } from './rescue-volume.ts';

/** The volume that the instance here is rescued from; null: none. */
export function rescueVolumeHere(flow: Flow): string | null {
  const id = rescueFunctionId(asId<InstanceId>(flow.instance));
  const found = flow.parts.compute.listBindings().find(({ function_id: each }) => each === id);
  return found?.volume_id ?? null;
}

/** What nova says of a driver that can't. Whoever is only away is asked again. */
function notRescuable(flow: Flow, error: unknown): unknown {
  if (isAway(error) || !(error instanceof DpuError)) return error;
  const reason = `Driver Error: ${error.message}`;
  return novaError('InstanceNotRescuable', { instance_id: flow.instance, reason }, { cause: error });
}

/** nova can't tell what is left of a server that can't be rescued; our node can: one that is what it was stays what it was. */
const rescueFailure: FailurePolicy = {
  fault: true,
  vmState(_error, flow) {
    const here = stateHere(flow);
    return here === 'active' || here === 'stopped' ? undefined : 'error';
  },
};

function rescueStages(flow: Flow): readonly Stage[] {
  return [
    {
      name: 'volume',
      async run({ signal }) {
        const { image } = flow.request;
        const { system_metadata: metadata, image_ref: own } = sentInstance(flow);
        const wanted = image ?? metadata?.image_base_image_ref ?? own;
        try {
          if (typeof wanted !== 'string' || wanted === '')
            throw new DpuError('invalid', 'the server has no image to be rescued with');
          return (await makeRescueVolume(flow, wanted, signal)) as unknown as Json;
        } catch (error) {
          throw notRescuable(flow, error);
        }
      },
      undo: ({ signal }) => giveBackRescueVolume(flow, signal),
      leaves: true,
    },
    {
      name: 'rescue',
      async run({ signal, output }) {
        const { volume, connection } = output('volume') as JsonObject;
        const { password } = flow.request;
        try {
          await compute(
            flow,
            'rescue',
            'rescue_instance',
            {
              uuid: flow.instance,
              volume: { volume_id: String(volume), connection_info: connection as Record<string, unknown> },
              ...(typeof password === 'string' && password !== '' ? { admin_pass: password } : {}),
            },
            signal,
          );
        } catch (error) {
          throw notRescuable(flow, error);
        }
        return undefined;
      },
      async undo({ signal, failure }) {
        if (failure() === null)
          await destroyHere(flow, signal); // a delete is at it: it would do the same
        else if (stateHere(flow) === 'rescued')
          await compute(flow, 'unrescue', 'unrescue_instance', { uuid: flow.instance }, signal);
      },
    },
    saveStage(
      flow,
      'saved',
      () => ({
        vm_state: 'rescued',
        power_state: powerStates.running,
        task_state: null,
        launched_at: novaNow(flow),
      }),
      ['rescuing'],
    ),
  ];
}

/**
 * rescue_instance: a volume is made in Cinder from the rescue image (the one asked for, the base of the server's own, its own), and the instance starts
 * from it with the password. Its undo leaves neither.
 */
const rescue: FlowDefinition = {
  planVersion: 1,
  read: (args: Arguments) =>
    readServer(args, {
      password: textArgument(args, 'rescue_password', 1024),
      image: textArgument(args, 'rescue_image_ref', 255),
    }),
  plan: (flow) => bracketed(flow, rescueStages(flow), { failure: rescueFailure, ours: true }),
};

/** unrescue_instance: the instance starts from its own disk; the rescue's volume ends in Cinder. A delete on its way here leaves none either. */
const unrescue: FlowDefinition = {
  planVersion: 1,
  read: (args) => readServer(args),
  plan(flow) {
    const release = async (signal: AbortSignal): Promise<void> => await giveBackRescueVolume(flow, signal);
    const stages: readonly Stage[] = [
      {
        name: 'begun',
        run: () => Promise.resolve(undefined),
        async undo({ signal }) {
          if (rescueVolumeHere(flow) === null) await release(signal);
        },
        leaves: true,
      },
      {
        name: 'unrescue',
        async run({ signal }) {
          const here = stateHere(flow);
          if (here === undefined) throw novaError('InstanceNotRunning', { instance_id: flow.instance });
          if (here === 'rescued') await compute(flow, 'unrescue', 'unrescue_instance', { uuid: flow.instance }, signal);
          return undefined;
        },
        async undo({ signal, failure }) {
          if (failure() === null) await destroyHere(flow, signal); // as above
        },
      },
      {
        name: 'release',
        async run({ signal }) {
          await release(signal);
          return undefined;
        },
      },
      saveStage(flow, 'saved', { vm_state: 'active', power_state: powerStates.running, task_state: null }, [
        'unrescuing',
      ]),
    ];
    return bracketed(flow, stages, { failure: errorOut, ours: true });
  },
};

/** Methods of a server that starts from another disk for a while. */
export const rescueFlows: Readonly<Record<string, FlowDefinition>> = {
  rescue_instance: rescue,
  unrescue_instance: unrescue,
};
