import type { AbortMigrationInput, PrepareMigrationInput } from '../../core/operation/machine-inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { diskDevice } from '../devices/disk-steps.ts';
import { plugStep, recordStep } from '../devices/function-steps.ts';
import { bringBackSteps, putAwaySteps, turnStep } from '../devices/migration.ts';
import { nicDevice } from '../devices/nic-steps.ts';
import { defineStep, offStep, softOffStep, startStep, undefineStep } from './machine-steps.ts';
import type { VmParts } from './parts.ts';

/** The plan of `prepare_migration`: off, forgotten by the host, and its devices put away; from the first step on only forward. */
export function prepareMigrationPlan(parts: VmParts, input: PrepareMigrationInput): Plan {
  const { instance } = input;
  const soft = input.ran ? [softOffStep(parts, instance, input.softTimeoutMs)] : [];
  const off = offStep(
    parts,
    instance,
    soft.map((each) => each.name),
  );
  const forget = undefineStep(parts, instance, [off.name]);
  const away = putAwaySteps(parts, instance, input.functions, forget.name);
  const steps = [...soft, off, forget, ...away];
  return { steps, pivot: steps[0]?.name ?? off.name };
}

/** The plan of `abort_migration`: its devices made again on what it has kept, shown to the host as in a build, and the machine started. */
export function abortMigrationPlan(parts: VmParts, input: AbortMigrationInput): Plan {
  const { plugMs } = parts.deadlines;
  const back = turnStep(parts, 'migration:back');
  const made = bringBackSteps(parts, input, back.name);
  const inPlace = [back.name, ...made.map((each) => each.ready)];
  const others = [...input.disks.filter((disk) => !disk.boot).map(diskDevice), ...input.nics.map(nicDevice)];
  const plugs: Step[] = others.map((device) => plugStep(parts, device, inPlace, plugMs));
  const boots = input.disks.filter((disk) => disk.boot);
  const bootPlugs = boots.map((disk) =>
    plugStep(parts, diskDevice(disk), [...inPlace, ...plugs.map((each) => each.name)], plugMs),
  );
  const wanted = {
    instance: input.instance,
    boot: boots[0]?.functionId ?? null,
    make: { name: input.name, flavor: input.flavor },
  };
  const shown = [back, ...plugs, ...bootPlugs].map((each) => each.name);
  const define = defineStep(parts, wanted, shown, { made: false });
  const start = startStep(parts, input.instance, [define.name]);
  const functions = [...input.disks, ...input.nics].map((each) => each.functionId);
  const record = recordStep(parts, functions, [start.name]);
  return {
    steps: [back, ...made.flatMap((each) => each.steps), ...plugs, ...bootPlugs, define, start, record],
    pivot: back.name,
  };
}
