import type { PowerInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { recordStep } from '../devices/function-steps.ts';
import type { BmParts } from './parts.ts';
import { bootDeviceStep, hostOffStep, hostOnStep, hostResetStep, hostSoftOffStep } from './power-steps.ts';

/** The plan of `start`: boot device, power; the record is the pivot, so a host that does not come on is off again. */
export function startPlan(parts: BmParts, input: PowerInput): Plan {
  const steps = onSteps(parts, input, []);
  return { steps, pivot: 'instance:record' };
}

/** The plan of `stop`: off softly where asked, and by force when the host takes no notice. */
export function stopPlan(parts: BmParts, input: PowerInput): Plan {
  const steps = offSteps(parts, input);
  return { steps, pivot: firstName(steps) };
}

/** The plan of `reboot`: off as in `stop`, and from then on there is only forward; then as `start`. */
export function rebootPlan(parts: BmParts, input: PowerInput): Plan {
  const off = offSteps(parts, input);
  const on = onSteps(parts, input, ['host:off']);
  return { steps: [...off, ...on], pivot: firstName(off) };
}

/**
 * The plan of `reboot` since version 2: a hard one is a reset by the BMC, which takes no power away. A crash in the middle of it resets the host once
 * more, since nobody can tell whether the order arrived; to the instance that is a longer reboot.
 */
export function resetPlan(parts: BmParts, input: PowerInput): Plan {
  if (input.type !== 'hard') return rebootPlan(parts, input);
  const bootDevices = input.boot === null ? [] : [bootDeviceStep(parts, input.boot, [])];
  const reset = hostResetStep(
    parts,
    bootDevices.map((each) => each.name),
    input.boot,
  );
  const record = recordStep(parts, input.boot === null ? [] : [input.boot], [reset.name]);
  return { steps: [...bootDevices, reset, record], pivot: reset.name };
}

function offSteps(parts: BmParts, input: PowerInput): readonly Step[] {
  if (input.type === 'hard') return [hostOffStep(parts, [])];
  const soft = hostSoftOffStep(parts, input.softTimeoutMs);
  return [soft, hostOffStep(parts, [soft.name])];
}

function onSteps(parts: BmParts, input: PowerInput, after: readonly string[]): readonly Step[] {
  const bootDevices = input.boot === null ? [] : [bootDeviceStep(parts, input.boot, after)];
  const on = hostOnStep(parts, bootDevices.length > 0 ? bootDevices.map((each) => each.name) : after, input.boot);
  const record = recordStep(parts, input.boot === null ? [] : [input.boot], [on.name]);
  return [...bootDevices, on, record];
}

function firstName(steps: readonly Step[]): string {
  return steps[0]?.name ?? 'host:off';
}
