import type { DestroyInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { stepRetry } from '../devices/deadlines.ts';
import { takeDownDisk } from '../devices/disk-steps.ts';
import { type Device, unplugStep } from '../devices/function-steps.ts';
import { takeDownNic } from '../devices/nic-steps.ts';
import { offStep, undefineStep } from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/**
 * The plan of `destroy`: first, and for good, the machine's power; the host forgets it; then the boot disk is taken from the host's sight, so that
 * the hardware says that the instance is no more whole; then every other device; behind its unplug each goes by itself. Every step takes "not
 * there" for done: an instance may be half made.
 */
export function destroyPlan(parts: VmParts, input: DestroyInput): Plan {
  const off = offStep(parts, input.instance, []);
  const forget = undefineStep(parts, input.instance, [off.name]);
  const { unplugMs } = parts.deadlines;
  const doomed = input.functions.map((each) => ({ ...each, device: deviceOf(each) }));
  const bootUnplugs = doomed
    .filter((each) => each.role === 'boot')
    .map((each) => unplugStep(parts, each.device, [forget.name], unplugMs));
  const others = [forget, ...bootUnplugs].map((each) => each.name);
  const unplugs = doomed
    .filter((each) => each.role !== 'boot')
    .map((each) => unplugStep(parts, each.device, others, unplugMs));
  const rest = doomed.flatMap((each) =>
    each.kind === 'volume'
      ? takeDownDisk(parts, input.instance, each.device, {
          deleteVolume: each.madeForInstance,
          ...(input.wipe === undefined ? {} : { wipe: input.wipe }),
        })
      : takeDownNic(parts, input.instance, each.device),
  );
  const before = [off, forget, ...bootUnplugs, ...unplugs, ...rest];
  return {
    steps: [
      ...before,
      {
        name: 'instance:forget',
        after: before.map((each) => each.name),
        deadlineMs: parts.deadlines.recordMs,
        retry: stepRetry,
        run: async () => ({ changes: [{ type: 'instance', id: input.instance, patch: { claimed: false } }] }),
      },
    ],
    pivot: off.name,
  };
}

function deviceOf(doomed: DestroyInput['functions'][number]): Device {
  return { kind: doomed.kind === 'volume' ? 'disk' : 'nic', key: doomed.key, functionId: doomed.functionId };
}
