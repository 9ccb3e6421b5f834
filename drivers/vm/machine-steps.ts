/** Steps on the machine of an instance. Its devices are passed through by where the host found them. */

import { DpuError, hasCode } from '../../core/errors.ts';
import type { Step } from '../../core/operation/plan.ts';
import type { FunctionId, InstanceId } from '../../core/units.ts';
import { stepRetry } from '../devices/deadlines.ts';
import { type Device, deviceStep } from '../devices/function-steps.ts';
import { definitionOf, deviceOf, type Wanted } from './definition.ts';
import type { VmParts } from './parts.ts';

/** A step of one call of the agent, and of another that takes it back. */
function agentStep(
  parts: VmParts,
  name: string,
  after: readonly string[],
  run: (signal: AbortSignal) => Promise<void>,
  undo?: (signal: AbortSignal) => Promise<void>,
): Step {
  const did = async (call: Promise<void>): Promise<object> => {
    await call;
    return {};
  };
  return {
    name,
    after,
    deadlineMs: parts.deadlines.machineMs,
    retry: stepRetry,
    run: ({ signal }) => did(run(signal)),
    ...(undo ? { undo: ({ signal }) => did(undo(signal)) } : {}),
  };
}

/** `machine:define`: with the devices that the host can see now. Undo where `made`: forgets it. */
export function defineStep(
  parts: VmParts,
  wanted: Wanted,
  after: readonly string[],
  options: { readonly made: boolean },
): Step {
  const { agent } = parts;
  return agentStep(
    parts,
    'machine:define',
    after,
    async (signal) => agent.defineDomain(await definitionOf(parts, wanted, signal), signal),
    options.made ? (signal) => agent.undefineDomain(wanted.instance, signal) : undefined,
  );
}

/** `machine:resize`: the same machine with other sizes. Undo: with those that it had. */
export function resizeStep(parts: VmParts, to: Wanted, from: Wanted, after: readonly string[]): Step {
  const define = async (wanted: Wanted, signal: AbortSignal): Promise<void> =>
    parts.agent.defineDomain(await definitionOf(parts, wanted, signal), signal);
  return agentStep(
    parts,
    'machine:resize',
    after,
    (signal) => define(to, signal),
    (signal) => define(from, signal),
  );
}

/** `machine:start`. Undo: takes its power away. */
export function startStep(parts: VmParts, instance: InstanceId, after: readonly string[]): Step {
  const { agent } = parts;
  return agentStep(
    parts,
    'machine:start',
    after,
    (signal) => agent.startDomain(instance, signal),
    (signal) => agent.destroyDomain(instance, signal),
  );
}

/** `machine:off`: takes its power away; one that is off or not there is fine. Undo where `ran`: starts it again. */
export function offStep(parts: VmParts, instance: InstanceId, after: readonly string[], ran = false): Step {
  const { agent } = parts;
  return agentStep(
    parts,
    'machine:off',
    after,
    (signal) => agent.destroyDomain(instance, signal),
    ran ? (signal) => agent.startDomain(instance, signal) : undefined,
  );
}

/** `machine:forget`: the host no more knows it. */
export function undefineStep(parts: VmParts, instance: InstanceId, after: readonly string[]): Step {
  return agentStep(parts, 'machine:forget', after, (signal) => parts.agent.undefineDomain(instance, signal));
}

/**
 * `machine:soft-off`: asks the guest to go off and waits `softTimeoutMs`. A guest that takes no notice, or can't because it is paused or
 * gone, is no failure: the output's `off` says how it went, and `machine:off` comes behind.
 */
export function softOffStep(parts: VmParts, instance: InstanceId, softTimeoutMs: number): Step {
  return {
    name: 'machine:soft-off',
    after: [],
    deadlineMs: softTimeoutMs + parts.deadlines.machineMs,
    retry: stepRetry,
    async run({ signal }) {
      try {
        await parts.agent.shutdownDomain(instance, { deadlineMs: softTimeoutMs }, signal);
        return { output: { off: true } };
      } catch (error) {
        const expected = hasCode(error, 'timeout') || hasCode(error, 'bad_state') || hasCode(error, 'not_found');
        if (signal.aborted || !expected) throw error;
        return { output: { off: false } };
      }
    },
  };
}

/** `machine:pause`. Undo: it goes on. */
export function pauseStep(parts: VmParts, instance: InstanceId): Step {
  const { agent } = parts;
  return agentStep(
    parts,
    'machine:pause',
    [],
    (signal) => agent.pauseDomain(instance, signal),
    (signal) => agent.unpauseDomain(instance, signal),
  );
}

/** `machine:unpause`. Undo: it is paused again. */
export function unpauseStep(parts: VmParts, instance: InstanceId): Step {
  const { agent } = parts;
  return agentStep(
    parts,
    'machine:unpause',
    [],
    (signal) => agent.unpauseDomain(instance, signal),
    (signal) => agent.pauseDomain(instance, signal),
  );
}

/** `machine:suspend`. Undo: it goes on. */
export function suspendStep(parts: VmParts, instance: InstanceId): Step {
  const { agent } = parts;
  const step = agentStep(
    parts,
    'machine:suspend',
    [],
    (signal) => agent.suspendDomain(instance, signal),
    (signal) => agent.resumeDomain(instance, signal),
  );
  return { ...step, deadlineMs: parts.deadlines.memoryMs };
}

/** `machine:resume`. Undo: it is suspended again. */
export function resumeStep(parts: VmParts, instance: InstanceId): Step {
  const { agent } = parts;
  const step = agentStep(
    parts,
    'machine:resume',
    [],
    (signal) => agent.resumeDomain(instance, signal),
    (signal) => agent.suspendDomain(instance, signal),
  );
  return { ...step, deadlineMs: parts.deadlines.memoryMs };
}

/** Gives the machine a function that the host can see. Undo: takes it from it, with the guest's consent while it runs. */
export function passStep(parts: VmParts, instance: InstanceId, device: Device, after: readonly string[]): Step {
  const { agent, deadlines, snic } = parts;
  const step = agentStep(
    parts,
    deviceStep(device, 'pass'),
    after,
    async (signal) => {
      const functions = await snic.listFunctions(signal);
      const state = functions.find((each) => each.id === device.functionId);
      if (!state) throw new DpuError('not_found', `card has no function ${device.functionId}`);
      await agent.attachDevice(instance, deviceOf(state, null), signal);
    },
    (signal) => take(parts, instance, device.functionId, signal),
  );
  return { ...step, deadlineMs: deadlines.unplugMs };
}

/** Takes a function from the machine; `busy`, when the guest holds on to it, is tried again. */
export function takeStep(parts: VmParts, instance: InstanceId, device: Device): Step {
  const step = agentStep(parts, deviceStep(device, 'take'), [], (signal) =>
    take(parts, instance, device.functionId, signal),
  );
  return { ...step, deadlineMs: parts.deadlines.unplugMs };
}

function take(parts: VmParts, instance: InstanceId, functionId: FunctionId, signal: AbortSignal): Promise<void> {
  return parts.agent.detachDevice(instance, functionId, { deadlineMs: parts.deadlines.hostReleaseMs }, signal);
}

/** `machine:keep`: says that it stays as it is; until then a failure is undone. */
export function keepStep(parts: VmParts, after: readonly string[]): Step {
  return {
    name: 'machine:keep',
    after,
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () => await Promise.resolve({}),
  };
}
