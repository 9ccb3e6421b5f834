import type { DestroyInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { stepRetry } from '../devices/deadlines.ts';
import { takeDownDisk } from '../devices/disk-steps.ts';
import { type Device, unplugStep } from '../devices/function-steps.ts';
import { takeDownNic } from '../devices/nic-steps.ts';
import { biosRestoreStep } from './bios-steps.ts';
import type { BmParts } from './parts.ts';
import { hostKeepStep, hostOffStep } from './power-steps.ts';

/**
 * The plan of `destroy`: first, and for good, the power, where the host is the instance's; then the boot disk is taken from the host's sight, so that
 * the hardware says that the instance is no more whole; then every other device; behind its unplug each goes by
 * itself. Every step takes "not there" for done: an instance may be half made. From version 2 on BIOS settings go back too, once the host is off.
 */
export function destroyPlan(parts: BmParts, input: DestroyInput, version: 1 | 2): Plan {
  const off = input.ownsHost ? hostOffStep(parts, []) : hostKeepStep(parts);
  const { unplugMs } = parts.deadlines;
  const doomed = input.functions.map((each) => ({ ...each, device: deviceOf(each) }));
  const bootUnplugs = doomed
    .filter((each) => each.role === 'boot')
    .map((each) => unplugStep(parts, each.device, [off.name], unplugMs));
  const others = [off, ...bootUnplugs].map((each) => each.name);
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
  const bios = version === 2 && input.ownsHost ? [biosRestoreStep(parts, [off.name])] : [];
  const before = [off, ...bios, ...bootUnplugs, ...unplugs, ...rest];
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
