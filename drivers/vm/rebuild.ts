import type { RebuildInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { forgetOld, names, showNew, takeAway, takeOld, unplugsOf } from '../devices/boot-disk-steps.ts';
import { volumeStep, withBinding } from '../devices/disk-steps.ts';
import { recordStep } from '../devices/function-steps.ts';
import { driveSteps, eraseStep, renewStep } from '../devices/guest-steps.ts';
import { defineStep, startStep } from './machine-steps.ts';
import { offSteps } from './off-steps.ts';
import type { VmParts } from './parts.ts';

/**
 * The plan of `rebuild`: the new boot volume is made while the machine still runs from the old one. Then it goes off, and from `instance:renew` on there
 * is only forward: the old disk goes, the new one takes its place, the machine is defined with it and started. **The old volume is deleted last.**
 */
export function rebuildPlan(parts: VmParts, input: RebuildInput): Plan {
  const { instance, name, flavor, root, old, rescue, boot } = input;
  const wanted = { instance, boot: old?.functionId ?? boot, make: { name, flavor } };
  const made = root ? withBinding([volumeStep(parts, input, root, [])], instance, root) : [];
  const off = offSteps(parts, wanted, input.softTimeoutMs, names(made));
  const renewed = renewStep(parts, instance, input, [...names(made), ...names(off)]);
  const cleared = rescue ? takeAway(parts, instance, rescue, [renewed.name]) : [];
  const taken = old ? takeOld(parts, instance, old, [renewed.name]) : [];
  const shown = root ? showNew(parts, input, root, [renewed.name, ...names(taken)]) : [];
  const written = driveSteps(parts, instance, input, [renewed.name]);
  const ready = [renewed.name, ...names(shown), ...names(written), ...unplugsOf(cleared)];
  const define = defineStep(parts, { ...wanted, boot }, ready, { made: false });
  const start = startStep(parts, instance, [define.name]);
  const record = recordStep(parts, [boot], [start.name]);
  const erased = eraseStep(parts, input.renew, [record.name]);
  const forgotten = old && root ? [forgetOld(parts, old, [record.name, ...names(taken)])] : [];
  return {
    steps: [
      ...made,
      ...off,
      renewed,
      ...cleared,
      ...taken,
      ...shown,
      ...written,
      define,
      start,
      record,
      erased,
      ...forgotten,
    ],
    pivot: renewed.name,
    result: (output) => ({ functions: output(record.name) }),
  };
}
