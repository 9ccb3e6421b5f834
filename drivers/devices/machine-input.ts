/** Reads the journaled inputs of `core/operation/machine-inputs.ts`. All throw DpuError `internal`, naming the field. */

import type {
  AbortMigrationInput,
  FinishMigrationInput,
  PrepareMigrationInput,
  ResizeMachineInput,
} from '../../core/operation/machine-inputs.ts';
import type { Flavor } from '../../core/records.ts';
import { asId, type FunctionId, type InstanceId, type JsonObject } from '../../core/units.ts';
import { readDisk, readDoomed, readInstance, readNic } from './input.ts';
import { type Fields, fieldsOf } from './json-fields.ts';

/** Input that names an instance and nothing else: of `pause` and its like. */
export function readInstanceId(input: JsonObject): InstanceId {
  return asId<InstanceId>(fieldsOf(input, 'input').text('instance'));
}

/** Input of `resize`. */
export function readResizeMachineInput(input: JsonObject): ResizeMachineInput {
  const fields = fieldsOf(input, 'input');
  const boot = fields.textOrNull('boot');
  return {
    ...readInstance(fields),
    before: readFlavor(fields.object('before')),
    boot: boot === null ? null : asId<FunctionId>(boot),
    ran: fields.flag('ran'),
    softTimeoutMs: fields.count('softTimeoutMs'),
  };
}

/** Input of `prepare_migration`. */
export function readPrepareMigrationInput(input: JsonObject): PrepareMigrationInput {
  const fields = fieldsOf(input, 'input');
  return {
    ...readFinishMigrationInput(input),
    ran: fields.flag('ran'),
    softTimeoutMs: fields.count('softTimeoutMs'),
  };
}

/** Input of `finish_migration`. */
export function readFinishMigrationInput(input: JsonObject): FinishMigrationInput {
  const fields = fieldsOf(input, 'input');
  return { instance: asId<InstanceId>(fields.text('instance')), functions: fields.list('functions').map(readDoomed) };
}

/** Input of `abort_migration`. */
export function readAbortMigrationInput(input: JsonObject): AbortMigrationInput {
  const fields = fieldsOf(input, 'input');
  return {
    ...readInstance(fields),
    disks: fields.list('disks').map(readDisk),
    nics: fields.list('nics').map(readNic),
  };
}

function readFlavor(flavor: Fields): Flavor {
  return { name: flavor.text('name'), vcpus: flavor.count('vcpus'), memory_mib: flavor.count('memory_mib') };
}
