import type { Step } from '../../core/operation/plan.ts';
import type { BmParts } from './parts.ts';
import { hostOffStep, hostSoftOffStep } from './power-steps.ts';

/**
 * The steps that get a host off for a change of its disks: softly where it runs (`softTimeoutMs` is above 0), and then by force. On the way back a host
 * that ran is switched on again, behind all that was to happen while it was off.
 */
export function offSteps(parts: BmParts, softTimeoutMs: number, after: readonly string[]): readonly Step[] {
  if (softTimeoutMs === 0) return [hostOffStep(parts, after)];
  const soft = hostSoftOffStep(parts, softTimeoutMs);
  return [
    {
      ...soft,
      after,
      deadlineMs: soft.deadlineMs + parts.deadlines.powerOnMs,
      async undo({ signal }) {
        await parts.power.powerOn(signal);
        return {};
      },
    },
    hostOffStep(parts, [soft.name]),
  ];
}
