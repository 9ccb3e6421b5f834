import type { ResizeInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { stepRetry } from './deadlines.ts';
import type { DeviceParts } from './parts.ts';

/**
 * The plan of `resize_volume`: the volume grows, then the host is shown its size, in use or not. A volume that has grown does not shrink
 * again, so from its first step on the plan only goes forward.
 */
export function resizeVolumePlan(parts: DeviceParts, input: ResizeInput): Plan {
  const { volumeId, functionId, sizeBytes } = input;
  const grow: Step = {
    name: `disk:grow:${volumeId}`,
    after: [],
    deadlineMs: parts.deadlines.volumeMs,
    retry: stepRetry,
    async run({ signal }) {
      await parts.volumes.resizeVolume(volumeId, sizeBytes, signal);
      return {};
    },
  };
  const show: Step = {
    name: `disk:resized:${volumeId}`,
    after: input.grow ? [grow.name] : [],
    deadlineMs: parts.deadlines.attachMs,
    retry: stepRetry,
    async run({ signal }) {
      const attachment = await parts.storage.resized(functionId, sizeBytes, signal);
      return { changes: [{ type: 'binding-patch', functionId, patch: { sizeBytes: attachment.sizeBytes } }] };
    },
  };
  const steps = input.grow ? [grow, show] : [show];
  return {
    steps,
    pivot: input.grow ? grow.name : show.name,
    result: () => ({ volume_id: volumeId, size_bytes: sizeBytes }),
  };
}
