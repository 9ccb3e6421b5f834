import type { BuildInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { diskDevice, makeDisk } from '../devices/disk-steps.ts';
import { plugStep, recordStep } from '../devices/function-steps.ts';
import { makeNic, nicDevice } from '../devices/nic-steps.ts';
import { biosCheckStep } from './bios-steps.ts';
import type { BmParts } from './parts.ts';
import { bootDeviceStep, hostOffStep, hostOnStep } from './power-steps.ts';

/**
 * The plan of `build`: all devices side by side until each is served or bound, while the host goes off; then the
 * plugs; then boot device, power and the record, which is the pivot.
 *
 * Nothing is shown to the host before everything of the instance is in place. **The boot disk is plugged last**: that
 * it is plugged is the mark on the hardware that the instance is whole, and a start with an empty store relies on it
 * to tell a whole instance from a half-made one.
 *
 * From version 2 on BIOS settings are looked at beside that, and nothing is plugged where they would keep the host from starting.
 */
export function buildPlan(parts: BmParts, input: BuildInput, version: 1 | 2): Plan {
  const { plugMs } = parts.deadlines;
  const made = [
    ...input.disks.map((disk) => makeDisk(parts, input, disk)),
    ...input.nics.map((nic) => makeNic(parts, input, nic)),
  ];
  const off = hostOffStep(parts, []);
  const checks = version === 1 ? [] : [biosCheckStep(parts)];
  const inPlace = [off.name, ...checks.map((each) => each.name), ...made.map((each) => each.ready)];
  const plugs: Step[] = [...input.disks.filter((disk) => !disk.boot).map(diskDevice), ...input.nics.map(nicDevice)].map(
    (device) => plugStep(parts, device, inPlace, plugMs),
  );
  const bootPlugs = input.disks
    .filter((disk) => disk.boot)
    .map((disk) => plugStep(parts, diskDevice(disk), [...inPlace, ...plugs.map((each) => each.name)], plugMs));
  const bootDevices = input.disks
    .filter((disk) => disk.boot)
    .map((disk) =>
      bootDeviceStep(
        parts,
        disk.functionId,
        bootPlugs.map((each) => each.name),
      ),
    );
  const on = hostOnStep(
    parts,
    bootDevices.map((each) => each.name),
    input.disks.find((disk) => disk.boot)?.functionId ?? null,
  );
  const functions = [...input.disks, ...input.nics].map((each) => each.functionId);
  const record = recordStep(parts, functions, [on.name]);
  return {
    steps: [off, ...checks, ...made.flatMap((each) => each.steps), ...plugs, ...bootPlugs, ...bootDevices, on, record],
    pivot: record.name,
    result: (output) => ({ functions: output(record.name), boot_device: output('host:boot-device') }),
  };
}
