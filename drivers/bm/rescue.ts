import { DpuError } from '../../core/errors.ts';
import type { RescueInput, UnrescueInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { takeAway, unplugsOf } from '../devices/boot-disk-steps.ts';
import { diskDevice, makeDisk } from '../devices/disk-steps.ts';
import { plugStep, recordStep } from '../devices/function-steps.ts';
import { driveSteps, eraseStep, renewStep } from '../devices/guest-steps.ts';
import { offSteps } from './off-steps.ts';
import type { BmParts } from './parts.ts';
import { bootDeviceStep, chooseBoot, hostOnStep } from './power-steps.ts';

/**
 * The plan of `rescue`: the disk of the rescue image is made while the instance runs; then the host goes off, is shown that disk too, and starts from
 * it. Its own boot disk stays where it is, with its address. Until the host has started all of it is undone by a failure, and a host that ran is
 * switched on again. A BMC that can't tell disks apart can't rescue: `unsupported`.
 */
export function rescuePlan(parts: BmParts, input: RescueInput): Plan {
  const { instance, disk } = input;
  const made = makeDisk(parts, input, disk);
  const off = offSteps(parts, input.softTimeoutMs, [made.ready]);
  const isOff = off.map((each) => each.name);
  const plug = plugStep(parts, diskDevice(disk), isOff, parts.deadlines.plugMs);
  const renewed = renewStep(parts, instance, input, isOff);
  const written = driveSteps(parts, instance, input, isOff);
  const bootDevice = chosenBoot(parts, input, [plug.name, renewed.name, ...written.map((each) => each.name)]);
  const on = hostOnStep(parts, [bootDevice.name], disk.functionId);
  const record = recordStep(parts, [disk.functionId], [on.name]);
  const erased = eraseStep(parts, input.renew, [record.name]);
  return {
    steps: [...made.steps, ...off, plug, renewed, ...written, bootDevice, on, record, erased],
    pivot: erased.name,
    result: (output) => ({ functions: output(record.name) }),
  };
}

/** The plan of `unrescue`: off, and from then on only forward: the rescue's disk goes, and the host starts from its own again. */
export function unrescuePlan(parts: BmParts, input: UnrescueInput): Plan {
  const { instance, rescue } = input;
  const off = offSteps(parts, input.softTimeoutMs, []);
  const isOff = off.map((each) => each.name);
  const renewed = renewStep(parts, instance, input, isOff);
  const written = driveSteps(parts, instance, input, isOff);
  const taken = rescue ? takeAway(parts, instance, rescue, isOff) : [];
  const before = [...isOff, renewed.name, ...written.map((each) => each.name), ...unplugsOf(taken)];
  const bootDevice = bootDeviceStep(parts, input.boot, before);
  const on = hostOnStep(parts, [bootDevice.name], input.boot);
  const record = recordStep(parts, [input.boot], [on.name]);
  const erased = eraseStep(parts, input.renew, [record.name]);
  return {
    steps: [...off, renewed, ...written, ...taken, bootDevice, on, record, erased],
    pivot: isOff[0] ?? 'host:off',
    result: (output) => ({ functions: output(record.name) }),
  };
}

/** The host's boot device, which it must be possible to choose. Undo: its own disk again. */
function chosenBoot(parts: BmParts, { disk, boot }: RescueInput, after: readonly string[]): Step {
  const step = bootDeviceStep(parts, disk.functionId, after);
  return {
    ...step,
    async run(context) {
      if (await chooseBoot(parts, disk.functionId, context.signal)) return { output: { chosen: true } };
      throw new DpuError('unsupported', 'the BMC can not choose the disk that the host starts from');
    },
    async undo({ signal }) {
      if (boot !== null) await chooseBoot(parts, boot, signal);
      return {};
    },
  };
}
