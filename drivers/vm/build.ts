import type { BuildInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { diskDevice, makeDisk } from '../devices/disk-steps.ts';
import { plugStep, recordStep } from '../devices/function-steps.ts';
import { makeNic, nicDevice } from '../devices/nic-steps.ts';
import { defineStep, startStep } from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/**
 * The plan of `build`: all devices side by side until each is served or bound; then the plugs, **the boot disk last**, as on bare metal: that it is
 * plugged is the mark on the hardware that the instance is whole. Then the machine is made of what the host can see, and started; the record is
 * the pivot. So a machine is only ever there with its boot disk.
 */
export function buildPlan(parts: VmParts, input: BuildInput): Plan {
  const { plugMs } = parts.deadlines;
  const made = [
    ...input.disks.map((disk) => makeDisk(parts, input, disk)),
    ...input.nics.map((nic) => makeNic(parts, input, nic)),
  ];
  const inPlace = made.map((each) => each.ready);
  const others = [...input.disks.filter((disk) => !disk.boot).map(diskDevice), ...input.nics.map(nicDevice)];
  const plugs: Step[] = others.map((device) => plugStep(parts, device, inPlace, plugMs));
  const bootPlugs = input.disks
    .filter((disk) => disk.boot)
    .map((disk) => plugStep(parts, diskDevice(disk), [...inPlace, ...plugs.map((each) => each.name)], plugMs));
  const boot = input.disks.find((disk) => disk.boot)?.functionId ?? null;
  const wanted = { instance: input.instance, boot, make: { name: input.name, flavor: input.flavor } };
  const define = defineStep(
    parts,
    wanted,
    bootPlugs.map((each) => each.name),
    { made: true },
  );
  const start = startStep(parts, input.instance, [define.name]);
  const functions = [...input.disks, ...input.nics].map((each) => each.functionId);
  const record = recordStep(parts, functions, [start.name]);
  return {
    steps: [...made.flatMap((each) => each.steps), ...plugs, ...bootPlugs, define, start, record],
    pivot: record.name,
    result: (output) => ({ functions: output(record.name) }),
  };
}
