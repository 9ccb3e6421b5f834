import type { Step } from '../../core/operation/plan.ts';
import { definitionOf, type Wanted } from './definition.ts';
import { offStep, softOffStep } from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/**
 * The steps that get a machine off for a change of its disks: softly where it runs (`softTimeoutMs` is above 0), and then by force. On the way back
 * one that ran is started again, as it was: behind all that was to happen while it was off.
 */
export function offSteps(
  parts: VmParts,
  machine: Wanted,
  softTimeoutMs: number,
  after: readonly string[],
): readonly Step[] {
  const { instance } = machine;
  if (softTimeoutMs === 0) return [offStep(parts, instance, after)];
  const soft = softOffStep(parts, instance, softTimeoutMs);
  return [
    {
      ...soft,
      after,
      deadlineMs: soft.deadlineMs + parts.deadlines.machineMs,
      async undo({ signal }) {
        // one that was not even asked to go off yet still runs, and is not defined anew
        const running = (await parts.agent.listDomains(signal)).some(
          (each) => each.instance === instance && each.state === 'running',
        );
        if (running) return {};
        await parts.agent.defineDomain(await definitionOf(parts, machine, signal), signal);
        await parts.agent.startDomain(instance, signal);
        return {};
      },
    },
    offStep(parts, instance, [soft.name]),
  ];
}
