import type { PowerInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import type { InstanceId } from '../../core/units.ts';
import { recordStep } from '../devices/function-steps.ts';
import {
  defineStep,
  keepStep,
  offStep,
  pauseStep,
  resumeStep,
  softOffStep,
  startStep,
  suspendStep,
  unpauseStep,
} from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/** The plan of `start`: defined anew, since the host may have found its functions elsewhere; the record is the pivot. */
export function startPlan(parts: VmParts, input: PowerInput): Plan {
  return { steps: onSteps(parts, input, []), pivot: 'instance:record' };
}

/** The plan of `stop`: off softly where asked, and by force when the guest takes no notice. */
export function stopPlan(parts: VmParts, input: PowerInput): Plan {
  const steps = offSteps(parts, input);
  return { steps, pivot: steps[0]?.name ?? 'machine:off' };
}

/** The plan of `reboot`: off as in `stop`, and from then on there is only forward; then as `start`. */
export function rebootPlan(parts: VmParts, input: PowerInput): Plan {
  const off = offSteps(parts, input);
  return { steps: [...off, ...onSteps(parts, input, ['machine:off'])], pivot: off[0]?.name ?? 'machine:off' };
}

/** The plan of `pause`. */
export const pausePlan = (parts: VmParts, instance: InstanceId): Plan => keptPlan(parts, pauseStep(parts, instance));

/** The plan of `unpause`. */
export const unpausePlan = (parts: VmParts, instance: InstanceId): Plan =>
  keptPlan(parts, unpauseStep(parts, instance));

/** The plan of `suspend`. */
export const suspendPlan = (parts: VmParts, instance: InstanceId): Plan =>
  keptPlan(parts, suspendStep(parts, instance));

/** The plan of `resume`. */
export const resumePlan = (parts: VmParts, instance: InstanceId): Plan => keptPlan(parts, resumeStep(parts, instance));

function keptPlan(parts: VmParts, step: Step): Plan {
  const keep = keepStep(parts, [step.name]);
  return { steps: [step, keep], pivot: keep.name };
}

function offSteps(parts: VmParts, input: PowerInput): readonly Step[] {
  if (input.type === 'hard') return [offStep(parts, input.instance, [])];
  const soft = softOffStep(parts, input.instance, input.softTimeoutMs);
  return [soft, offStep(parts, input.instance, [soft.name])];
}

function onSteps(parts: VmParts, { instance, boot }: PowerInput, after: readonly string[]): readonly Step[] {
  const define = defineStep(parts, { instance, boot, make: null }, after, { made: false });
  const start = startStep(parts, instance, [define.name]);
  return [define, start, recordStep(parts, boot === null ? [] : [boot], [start.name])];
}
