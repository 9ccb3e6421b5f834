/** Steps that exchange the disk that an instance starts from. */

import type { DiskInput, DoomedFunction, InstanceInput } from '../../core/operation/inputs.ts';
import type { Step } from '../../core/operation/plan.ts';
import { asId, type InstanceId, type VolumeId } from '../../core/units.ts';
import { stepRetry } from './deadlines.ts';
import { attachStep, connectStep, diskDevice, functionStep, takeDownDisk } from './disk-steps.ts';
import { type Device, deviceStep, plugStep, releaseStep, unplugStep } from './function-steps.ts';
import type { DeviceParts } from './parts.ts';

/** A disk that goes with its volume, the host or machine being off: the rescue's. */
export function takeAway(
  parts: DeviceParts,
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
export function takeOld(
  parts: DeviceParts,
  instance: InstanceId,
  old: DoomedFunction,
  after: readonly string[],
): readonly Step[] {
  const device = deviceOf(old);
  const down = takeDownDisk(parts, instance, device, { deleteVolume: false }).slice(0, -1);
  return [
    unplugStep(parts, device, after, parts.deadlines.unplugMs),
    ...down,
    releaseStep(parts, device, names(down).slice(-1)),
  ];
}

/** The new boot disk, its volume being there: on the card, served, and shown to the host. */
export function showNew(
  parts: DeviceParts,
  to: InstanceInput,
  root: DiskInput,
  after: readonly string[],
): readonly Step[] {
  const made = functionStep(parts, to, root, after);
  const connected = connectStep(parts, to, root, [made.name]);
  const attached = attachStep(parts, to, root, [connected.name]);
  return [made, connected, attached, plugStep(parts, diskDevice(root), [attached.name], parts.deadlines.plugMs)];
}

/** The old boot disk is no more: its volume is deleted where it was made for the instance. */
export function forgetOld(parts: DeviceParts, old: DoomedFunction, after: readonly string[]): Step {
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

/** Names of steps. */
export function names(steps: readonly Step[]): readonly string[] {
  return steps.map((each) => each.name);
}
