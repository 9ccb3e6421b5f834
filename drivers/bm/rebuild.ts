import type { DiskInput, DoomedFunction, InstanceInput, RebuildInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { asId, type InstanceId, type VolumeId } from '../../core/units.ts';
import { stepRetry } from '../devices/deadlines.ts';
import {
  attachStep,
  connectStep,
  diskDevice,
  functionStep,
  takeDownDisk,
  volumeStep,
  withBinding,
} from '../devices/disk-steps.ts';
import { type Device, deviceStep, plugStep, recordStep, releaseStep, unplugStep } from '../devices/function-steps.ts';
import { driveSteps, eraseStep, renewStep } from '../devices/guest-steps.ts';
import { offSteps } from './off-steps.ts';
import type { BmParts } from './parts.ts';
import { bootDeviceStep, hostOnStep } from './power-steps.ts';

/**
 * The plan of `rebuild`: the new boot volume is made while the instance still runs from the old one; so what fails there costs it nothing. Then the
 * host goes off, and from `instance:renew` on there is only forward: the old disk makes room, the new one takes its place on the card, so that it has
 * the same address where the card gives slots again. **The old volume is deleted last**, when the host runs from the new one.
 */
export function rebuildPlan(parts: BmParts, input: RebuildInput): Plan {
  const { instance, root, old, rescue } = input;
  const made = root ? withBinding([volumeStep(parts, input, root, [])], instance, root) : [];
  const off = offSteps(parts, input.softTimeoutMs, names(made));
  const renewed = renewStep(parts, instance, input, [...names(made), ...names(off)]);
  const cleared = rescue ? takeAway(parts, instance, rescue, [renewed.name]) : [];
  const taken = old ? takeOld(parts, instance, old, [renewed.name]) : [];
  const shown = root ? showNew(parts, input, root, [renewed.name, ...names(taken)]) : [];
  const written = driveSteps(parts, instance, input, [renewed.name]);
  const ready = [renewed.name, ...names(shown), ...names(written), ...unplugsOf(cleared)];
  const bootDevice = bootDeviceStep(parts, input.boot, ready);
  const on = hostOnStep(parts, [bootDevice.name]);
  const record = recordStep(parts, [input.boot], [on.name]);
  const erased = eraseStep(parts, input.renew, [record.name]);
  const forgotten = old ? [forgetOld(parts, old, [record.name, ...names(taken)])] : [];
  return {
    steps: [
      ...made,
      ...off,
      renewed,
      ...cleared,
      ...taken,
      ...shown,
      ...written,
      bootDevice,
      on,
      record,
      erased,
      ...forgotten,
    ],
    pivot: renewed.name,
    result: (output) => ({ functions: output(record.name), boot_device: output(bootDevice.name) }),
  };
}

/** A disk that goes with its volume, the host being off: the rescue's. */
export function takeAway(
  parts: BmParts,
  instance: InstanceId,
  doomed: DoomedFunction,
  after: readonly string[],
): readonly Step[] {
  const device = deviceOf(doomed);
  return [
    unplugStep(parts, device, after, parts.deadlines.unplugMs),
    ...takeDownDisk(parts, instance, device, { deleteVolume: doomed.madeForInstance }),
  ];
}

/** Names of those after which the host sees nothing of what goes. */
export function unplugsOf(steps: readonly Step[]): readonly string[] {
  return names(steps).filter((name) => name.startsWith('disk:unplug:'));
}

/** The old boot disk leaves the card; its volume and the row that tells of it stay. */
function takeOld(parts: BmParts, instance: InstanceId, old: DoomedFunction, after: readonly string[]): readonly Step[] {
  const device = deviceOf(old);
  const down = takeDownDisk(parts, instance, device, { deleteVolume: false }).slice(0, -1);
  return [
    unplugStep(parts, device, after, parts.deadlines.unplugMs),
    ...down,
    releaseStep(parts, device, names(down).slice(-1)),
  ];
}

function showNew(parts: BmParts, to: InstanceInput, root: DiskInput, after: readonly string[]): readonly Step[] {
  const made = functionStep(parts, to, root, after);
  const connected = connectStep(parts, to, root, [made.name]);
  const attached = attachStep(parts, to, root, [connected.name]);
  return [made, connected, attached, plugStep(parts, diskDevice(root), [attached.name], parts.deadlines.plugMs)];
}

function forgetOld(parts: BmParts, old: DoomedFunction, after: readonly string[]): Step {
  return {
    name: deviceStep(deviceOf(old), 'delete'),
    after,
    deadlineMs: parts.deadlines.volumeMs,
    retry: stepRetry,
    async run({ signal }) {
      if (old.madeForInstance) await parts.volumes.deleteVolume(asId<VolumeId>(old.key), signal);
      return { changes: [{ type: 'binding-gone', functionId: old.functionId }] };
    },
  };
}

function deviceOf({ key, functionId }: DoomedFunction): Device {
  return { kind: 'disk', key, functionId };
}

function names(steps: readonly Step[]): readonly string[] {
  return steps.map((each) => each.name);
}
