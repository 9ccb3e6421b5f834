/**
 * A cold move, as far as devices go. At its source an instance's functions are taken away while the rows of its bindings stay, and with them its
 * ports, its volumes and how they are reached: so it can be forgotten (finish) or brought back (abort).
 */

import type { DoomedFunction } from '../../core/operation/inputs.ts';
import type { AbortMigrationInput, FinishMigrationInput } from '../../core/operation/machine-inputs.ts';
import type { Plan, Step, StepResult } from '../../core/operation/plan.ts';
import type { RecordChange } from '../../core/records.ts';
import { asId, type InstanceId, type PortId, type VolumeId } from '../../core/units.ts';
import { stepRetry } from './deadlines.ts';
import { makeDisk, takeDownDisk } from './disk-steps.ts';
import { type Device, deviceStep, unplugStep } from './function-steps.ts';
import { makeNic, takeDownNic } from './nic-steps.ts';
import type { DeviceParts, DeviceSteps } from './parts.ts';

/** What a doomed function is to the card. */
export function deviceOf(doomed: DoomedFunction): Device {
  return { kind: doomed.kind === 'volume' ? 'disk' : 'nic', key: doomed.key, functionId: doomed.functionId };
}

/** The steps that take all devices from an instance that is off, the boot disk first, behind the step `after`. */
export function putAwaySteps(
  parts: DeviceParts,
  instance: InstanceId,
  functions: readonly DoomedFunction[],
  after: string,
): readonly Step[] {
  const { unplugMs } = parts.deadlines;
  const bootUnplugs = functions
    .filter((each) => each.role === 'boot')
    .map((each) => unplugStep(parts, deviceOf(each), [after], unplugMs));
  const others = [after, ...bootUnplugs.map((each) => each.name)];
  const unplugs = functions
    .filter((each) => each.role !== 'boot')
    .map((each) => unplugStep(parts, deviceOf(each), others, unplugMs));
  const rest = functions.map(deviceOf).flatMap((device) => {
    const steps =
      device.kind === 'disk'
        ? takeDownDisk(parts, instance, device, { deleteVolume: false })
        : takeDownNic(parts, instance, device).filter(({ name }) => name !== deviceStep(device, 'release-port'));
    return steps.map(keepingBinding);
  });
  return [...bootUnplugs, ...unplugs, ...rest];
}

/** The steps that make an instance's devices again on what it has kept, behind the step `after`; there is no way back from it. */
export function bringBackSteps(parts: DeviceParts, input: AbortMigrationInput, after: string): readonly DeviceSteps[] {
  const made = [
    ...input.disks.map((disk) => makeDisk(parts, input, disk)),
    ...input.nics.map((nic) => makeNic(parts, input, nic)),
  ];
  return made.map(({ steps, ready }) => ({
    ready,
    steps: steps.map((step) => ({
      ...step,
      after: step.after.length === 0 ? [after] : step.after,
      intent: (step.intent ?? []).filter((each) => each.type !== 'binding'),
    })),
  }));
}

/** The plan of `finish_migration`: the instance is another node's now. What was made for it here goes. */
export function finishMigrationPlan(parts: DeviceParts, input: FinishMigrationInput): Plan {
  const { instance } = input;
  const steps = input.functions.map((each) => leaveStep(parts, instance, each));
  const forget: Step = {
    name: 'instance:forget',
    after: ['migration:finish', ...steps.map((each) => each.name)],
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () =>
      await Promise.resolve({ changes: [{ type: 'instance', id: instance, patch: { claimed: false } }] }),
  };
  const first = turnStep(parts, 'migration:finish');
  return { steps: [first, ...steps, forget], pivot: first.name };
}

/** A step that does nothing: from it on there is only forward. */
export function turnStep(parts: DeviceParts, name: string): Step {
  return {
    name,
    after: [],
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () => await Promise.resolve({}),
  };
}

/** Gives up a port or volume: deleted where it was made for the instance, else only no more known. */
function leaveStep(parts: DeviceParts, instance: InstanceId, doomed: DoomedFunction): Step {
  const { kind, key, functionId, madeForInstance } = doomed;
  const gone: RecordChange = { type: 'binding-gone', functionId };
  return {
    name: deviceStep(deviceOf(doomed), 'leave'),
    after: ['migration:finish'],
    deadlineMs: kind === 'volume' ? parts.deadlines.volumeMs : parts.deadlines.portMs,
    retry: stepRetry,
    async run({ signal }) {
      if (madeForInstance && kind === 'volume') await parts.volumes.deleteVolume(asId<VolumeId>(key), signal);
      if (madeForInstance && kind === 'port') await parts.networks.releasePort(asId<PortId>(key), instance, signal);
      return { changes: [gone] };
    },
  };
}

/** The same step, whose end leaves the binding's row. */
function keepingBinding(step: Step): Step {
  return {
    ...step,
    async run(context): Promise<StepResult> {
      const { changes = [], ...rest } = await step.run(context);
      return { ...rest, changes: changes.filter((each) => each.type !== 'binding-gone') };
    },
  };
}
