import type { AttachInterfaceInput, AttachVolumeInput, DetachInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { diskDevice, makeDisk, takeDownDisk } from '../devices/disk-steps.ts';
import { type Device, plugStep, recordStep, unplugStep } from '../devices/function-steps.ts';
import { makeNic, nicDevice, takeDownNic } from '../devices/nic-steps.ts';
import type { DeviceSteps } from '../devices/parts.ts';
import type { BmParts } from './parts.ts';

/** The plan of `attach_volume`: served first, then shown to the host; a plug that fails undoes all of it. */
export function attachVolumePlan(parts: BmParts, input: AttachVolumeInput): Plan {
  return attachPlan(parts, diskDevice(input.disk), makeDisk(parts, input, input.disk));
}

/** The plan of `attach_interface`: bound first, then shown to the host; a plug that fails undoes all of it. */
export function attachInterfacePlan(parts: BmParts, input: AttachInterfaceInput): Plan {
  return attachPlan(parts, nicDevice(input.nic), makeNic(parts, input, input.nic));
}

/**
 * The plan of `detach_volume`: the host lets go of the device first, and from its being asked there is no way back.
 * The volume itself is never deleted.
 */
export function detachVolumePlan(parts: BmParts, input: DetachInput): Plan {
  const device: Device = { kind: 'disk', key: input.key, functionId: input.functionId };
  return detachPlan(parts, device, takeDownDisk(parts, input.instance, device, { deleteVolume: false }));
}

/** The plan of `detach_interface`: as `detach_volume`; a port that was made for the instance goes. */
export function detachInterfacePlan(parts: BmParts, input: DetachInput): Plan {
  const device: Device = { kind: 'nic', key: input.key, functionId: input.functionId };
  return detachPlan(parts, device, takeDownNic(parts, input.instance, device));
}

function attachPlan(parts: BmParts, device: Device, made: DeviceSteps): Plan {
  // The host may run: the way back then needs its consent, and the time for it.
  const plug = plugStep(parts, device, [made.ready], parts.deadlines.unplugMs);
  const record = recordStep(parts, [device.functionId], [plug.name]);
  return {
    steps: [...made.steps, plug, record],
    pivot: record.name,
    result: (output) => ({ functions: output(record.name) }),
  };
}

function detachPlan(parts: BmParts, device: Device, rest: Plan['steps']): Plan {
  const unplug = unplugStep(parts, device, [], parts.deadlines.unplugMs);
  return { steps: [unplug, ...rest], pivot: unplug.name };
}
