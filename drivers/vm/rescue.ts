import type { RescueInput, UnrescueInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { names, takeAway, unplugsOf } from '../devices/boot-disk-steps.ts';
import { diskDevice, makeDisk } from '../devices/disk-steps.ts';
import { plugStep, recordStep } from '../devices/function-steps.ts';
import { driveSteps, eraseStep, renewStep } from '../devices/guest-steps.ts';
import { defineStep, startStep } from './machine-steps.ts';
import { offSteps } from './off-steps.ts';
import type { VmParts } from './parts.ts';

/**
 * The plan of `rescue`: the disk of the rescue image is made while the machine runs; then that goes off, is given the disk too, and starts from it. Its
 * own boot disk stays. Until it has started all of it is undone by a failure, and one that ran is started again.
 */
export function rescuePlan(parts: VmParts, input: RescueInput): Plan {
  const { instance, disk, name, flavor } = input;
  const own = { instance, boot: input.boot, make: { name, flavor } };
  const made = makeDisk(parts, input, disk);
  const off = offSteps(parts, own, input.softTimeoutMs, [made.ready]);
  const plug = plugStep(parts, diskDevice(disk), names(off), parts.deadlines.plugMs);
  const renewed = renewStep(parts, instance, input, names(off));
  const written = driveSteps(parts, instance, input, names(off));
  const ready = names([plug, renewed, ...written]);
  const define = defineStep(parts, { ...own, boot: disk.functionId }, ready, { made: false });
  const start = startStep(parts, instance, [define.name]);
  const record = recordStep(parts, [disk.functionId], [start.name]);
  const erased = eraseStep(parts, input.renew, [record.name]);
  return {
    steps: [...made.steps, ...off, plug, renewed, ...written, define, start, record, erased],
    pivot: erased.name,
    result: (output) => ({ functions: output(record.name) }),
  };
}

/** The plan of `unrescue`: off, and from then on only forward: the rescue's disk goes, and the machine starts from its own again. */
export function unrescuePlan(parts: VmParts, input: UnrescueInput): Plan {
  const { instance, rescue, boot } = input;
  const machine = { instance, boot, make: null };
  const off = offSteps(parts, machine, input.softTimeoutMs, []);
  const renewed = renewStep(parts, instance, input, names(off));
  const written = driveSteps(parts, instance, input, names(off));
  const taken = rescue ? takeAway(parts, instance, rescue, names(off)) : [];
  const ready = [...names([...off, renewed, ...written]), ...unplugsOf(taken)];
  const define = defineStep(parts, machine, ready, { made: false });
  const start = startStep(parts, instance, [define.name]);
  const record = recordStep(parts, [boot], [start.name]);
  const erased = eraseStep(parts, input.renew, [record.name]);
  return {
    steps: [...off, renewed, ...written, ...taken, define, start, record, erased],
    pivot: names(off)[0] ?? 'machine:off',
    result: (output) => ({ functions: output(record.name) }),
  };
}
