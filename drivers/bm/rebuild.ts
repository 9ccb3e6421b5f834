import type { RebuildInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { forgetOld, names, showNew, takeAway, takeOld, unplugsOf } from '../devices/boot-disk-steps.ts';
import { volumeStep, withBinding } from '../devices/disk-steps.ts';
import { recordStep } from '../devices/function-steps.ts';
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
  const on = hostOnStep(parts, [bootDevice.name], input.boot);
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
