import type { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import { novaError } from '../wire/nova-errors.ts';
import { flagArgument, readServer, textArgument } from './arguments.ts';
import { bracketed, errorOut, type FailurePolicy, revert } from './bracket.ts';
import { compute, stateHere } from './compute.ts';
import { type Flow, type FlowDefinition, type Stage, sentInstance } from './flow.ts';
import { makeHere } from './made-here.ts';
import { powerStates, saveStage } from './nova-record.ts';
import { missingVolumesStage } from './volume-attach.ts';

/** How long a host has to go off by itself before it is switched off, in seconds (nova's shutdown_timeout). */
const softSeconds = 60;

type PowerMethod = Extract<
  Parameters<typeof compute>[2],
  | 'start_instance'
  | 'stop_instance'
  | 'reboot_instance'
  | 'pause_vm'
  | 'unpause_vm'
  | 'suspend_instance'
  | 'resume_instance'
>;

/** Does it to the instance unless it is so already: a start or stop may be asked of what its user did by itself. */
function powerStage(flow: Flow, method: PowerMethod, unless: string | null, args: JsonObject = {}): Stage {
  return {
    name: 'power',
    async run(context) {
      const { signal } = context;
      const state = stateHere(flow);
      const makes = method === 'start_instance' || (method === 'reboot_instance' && args.type === 'hard');
      if (makes && (state === undefined || state === 'building')) {
        await makeHere(flow, context);
        return undefined;
      }
      if (state === undefined) throw novaError('InstanceNotRunning', { instance_id: flow.instance });
      if (state !== unless) await compute(flow, 'power', method, { uuid: flow.instance, ...args } as never, signal);
      return undefined;
    },
  };
}

interface PowerChange {
  readonly method: PowerMethod;
  /** Our state that says that it is so already. */
  readonly done: string;
  readonly saved: JsonObject;
  /** Task states that the last save may find. */
  readonly expected: readonly (string | null)[];
  readonly failure?: FailurePolicy;
}

function powerFlow(change: PowerChange): FlowDefinition {
  return {
    planVersion: 1,
    read: (args) => readServer(args),
    plan: (flow) =>
      bracketed(
        flow,
        [
          ...(change.method === 'start_instance' ? [missingVolumesStage(flow)] : []),
          powerStage(flow, change.method, change.done),
          saveStage(flow, 'saved', { ...change.saved, task_state: null }, change.expected),
        ],
        { failure: change.failure ?? revert, ours: true },
      ),
  };
}

/** stop_instance. `clean_shutdown` false: at once. A stop that the power-state sync asked for comes without a task state. */
const stop: FlowDefinition = {
  planVersion: 1,
  read: (args) => readServer(args, { clean: flagArgument(args, 'clean_shutdown', true) }),
  plan: (flow) =>
    bracketed(
      flow,
      [
        powerStage(flow, 'stop_instance', 'stopped', { timeout: flow.request.clean === false ? 0 : softSeconds }),
        saveStage(flow, 'saved', { vm_state: 'stopped', power_state: powerStates.shutdown, task_state: null }, [
          'powering-off',
          null,
        ]),
      ],
      { failure: revert, ours: true },
    ),
};

/** Task states of a reboot, by its type (nova.compute.task_states soft_reboot_states, hard_reboot_states). */
const rebootStates = {
  soft: {
    begin: ['rebooting', 'reboot_pending', 'reboot_started'],
    pending: 'reboot_pending',
    started: 'reboot_started',
  },
  hard: {
    begin: ['rebooting_hard', 'reboot_pending_hard', 'reboot_started_hard'],
    pending: 'reboot_pending_hard',
    started: 'reboot_started_hard',
  },
} as const;

/** reboot_instance SOFT or HARD. One that fails and leaves the instance running is no error to it. */
const reboot: FlowDefinition = {
  planVersion: 1,
  read: (args) => readServer(args, { type: textArgument(args, 'reboot_type') === 'SOFT' ? 'soft' : 'hard' }),
  plan(flow) {
    const type = flow.request.type === 'soft' ? 'soft' : 'hard';
    const states = rebootStates[type];
    const vmState = sentInstance(flow).vm_state === 'rescued' ? 'rescued' : 'active';
    const failure: FailurePolicy = {
      fault: true,
      vmState: (_error: DpuError) => (stateHere(flow) === 'active' ? vmState : 'error'),
    };
    return bracketed(
      flow,
      [
        saveStage(flow, 'pending', { task_state: states.pending }, states.begin),
        saveStage(flow, 'started', { task_state: states.started }, [states.pending]),
        powerStage(flow, 'reboot_instance', null, { type }),
        saveStage(flow, 'saved', { vm_state: vmState, power_state: powerStates.running, task_state: null }, [
          states.started,
        ]),
      ],
      { failure, ours: true },
    );
  },
};

/** Methods of an instance's power. Those of VMs alone are refused by the node where it is none: fault, and the task state is put back. */
export const powerFlows: Readonly<Record<string, FlowDefinition>> = {
  stop_instance: stop,
  reboot_instance: reboot,
  start_instance: powerFlow({
    method: 'start_instance',
    done: 'active',
    saved: { vm_state: 'active', power_state: powerStates.running },
    expected: ['powering-on'],
  }),
  pause_instance: powerFlow({
    method: 'pause_vm',
    done: 'paused',
    saved: { vm_state: 'paused', power_state: powerStates.paused },
    expected: ['pausing'],
  }),
  unpause_instance: powerFlow({
    method: 'unpause_vm',
    done: 'active',
    saved: { vm_state: 'active', power_state: powerStates.running },
    expected: ['unpausing'],
  }),
  suspend_instance: powerFlow({
    method: 'suspend_instance',
    done: 'suspended',
    saved: { vm_state: 'suspended', power_state: powerStates.shutdown },
    expected: ['suspending'],
  }),
  resume_instance: powerFlow({
    method: 'resume_instance',
    done: 'active',
    saved: { vm_state: 'active', power_state: powerStates.running },
    expected: ['resuming'],
    failure: errorOut,
  }),
  // a soft delete is a stop that the API may take back
  soft_delete_instance: powerFlow({
    method: 'stop_instance',
    done: 'stopped',
    saved: { vm_state: 'soft-delete', power_state: powerStates.shutdown },
    expected: ['soft-deleting'],
  }),
  restore_instance: powerFlow({
    method: 'start_instance',
    done: 'active',
    saved: { vm_state: 'active', power_state: powerStates.running },
    expected: ['restoring'],
  }),
};
