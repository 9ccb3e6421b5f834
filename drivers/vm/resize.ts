import type { ResizeMachineInput } from '../../core/operation/machine-inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { stepRetry } from '../devices/deadlines.ts';
import { offStep, resizeStep, softOffStep, startStep } from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/**
 * The plan of `resize`: a machine that runs goes off, gets its new sizes, and is started again. Until it runs with them all of it can be taken
 * back; the last step says that it stays.
 */
export function resizePlan(parts: VmParts, input: ResizeMachineInput): Plan {
  const { instance, name, flavor, before, boot, ran } = input;
  const soft = ran ? [softOffStep(parts, instance, input.softTimeoutMs)] : [];
  const off = ran ? [offStep(parts, instance, namesOf(soft), ran)] : [];
  const resize = resizeStep(
    parts,
    { instance, boot, make: { name, flavor } },
    { instance, boot, make: { name, flavor: before } },
    namesOf(off),
  );
  const start = ran ? [startStep(parts, instance, [resize.name])] : [];
  const record: Step = {
    name: 'instance:resize',
    after: namesOf([resize, ...start]),
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () => await Promise.resolve({ changes: [{ type: 'instance', id: instance, patch: { flavor } }] }),
  };
  return { steps: [...soft, ...off, resize, ...start, record], pivot: record.name };
}

function namesOf(steps: readonly Step[]): readonly string[] {
  return steps.map((each) => each.name);
}
