import type { AttachInterfaceInput, AttachVolumeInput, DetachInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import type { InstanceId } from '../../core/units.ts';
import { diskDevice, makeDisk, takeDownDisk } from '../devices/disk-steps.ts';
import { type Device, plugStep, recordStep, unplugStep } from '../devices/function-steps.ts';
import { makeNic, nicDevice, takeDownNic } from '../devices/nic-steps.ts';
import type { DeviceSteps } from '../devices/parts.ts';
import { passStep, takeStep } from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/** The plan of `attach_volume`: served first, then shown to the host, then given to the machine; a guest that refuses it undoes all of it. */
export function attachVolumePlan(parts: VmParts, input: AttachVolumeInput): Plan {
  return attachPlan(parts, input.instance, diskDevice(input.disk), makeDisk(parts, input, input.disk));
}

/** The plan of `attach_interface`: bound first, then as a volume. */
export function attachInterfacePlan(parts: VmParts, input: AttachInterfaceInput): Plan {
  return attachPlan(parts, input.instance, nicDevice(input.nic), makeNic(parts, input, input.nic));
}

/**
 * The plan of `detach_volume`: the guest lets go of the device first, and from its being asked there is no way back. The volume itself is never
 * deleted.
 */
export function detachVolumePlan(parts: VmParts, input: DetachInput): Plan {
  const device: Device = { kind: 'disk', key: input.key, functionId: input.functionId };
  return detachPlan(
    parts,
    input.instance,
    device,
    takeDownDisk(parts, input.instance, device, { deleteVolume: false }),
  );
}

/** The plan of `detach_interface`: as `detach_volume`; a port that was made for the instance goes. */
export function detachInterfacePlan(parts: VmParts, input: DetachInput): Plan {
  const device: Device = { kind: 'nic', key: input.key, functionId: input.functionId };
  return detachPlan(parts, input.instance, device, takeDownNic(parts, input.instance, device));
}

function attachPlan(parts: VmParts, instance: InstanceId, device: Device, made: DeviceSteps): Plan {
  const plug = plugStep(parts, device, [made.ready], parts.deadlines.unplugMs);
  const pass = passStep(parts, instance, device, [plug.name]);
  const record = recordStep(parts, [device.functionId], [pass.name]);
  return {
    steps: [...made.steps, plug, pass, record],
    pivot: record.name,
    result: (output) => ({ functions: output(record.name) }),
  };
}

function detachPlan(parts: VmParts, instance: InstanceId, device: Device, rest: readonly Step[]): Plan {
  const take = takeStep(parts, instance, device);
  const unplug = unplugStep(parts, device, [take.name], parts.deadlines.unplugMs);
  return { steps: [take, unplug, ...rest], pivot: take.name };
}
