/** Reads the journaled inputs of rebuild and rescue. All throw DpuError `internal`, naming the field. */

import type { RebuildInput, RescueInput, UnrescueInput } from '../../core/operation/inputs.ts';
import { asId, type FunctionId, type InstanceId, type JsonObject } from '../../core/units.ts';
import { readTellChange } from './guest-input.ts';
import { readDisk, readDoomed, readInstance } from './input.ts';
import { type Fields, fieldsOf } from './json-fields.ts';

/** Input of `rebuild`. */
export function readRebuildInput(input: JsonObject): RebuildInput {
  const fields = fieldsOf(input, 'input');
  return {
    ...readInstance(fields),
    ...readTellChange(fields),
    root: maybe(fields, 'root', readDisk),
    old: maybe(fields, 'old', readDoomed),
    rescue: maybe(fields, 'rescue', readDoomed),
    boot: asId<FunctionId>(fields.text('boot')),
    softTimeoutMs: fields.count('softTimeoutMs'),
  };
}

/** Input of `rescue`. */
export function readRescueInput(input: JsonObject): RescueInput {
  const fields = fieldsOf(input, 'input');
  const boot = fields.textOrNull('boot');
  return {
    ...readInstance(fields),
    ...readTellChange(fields),
    disk: readDisk(fields.object('disk')),
    boot: boot === null ? null : asId<FunctionId>(boot),
    softTimeoutMs: fields.count('softTimeoutMs'),
  };
}

/** Input of `unrescue`. */
export function readUnrescueInput(input: JsonObject): UnrescueInput {
  const fields = fieldsOf(input, 'input');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    ...readTellChange(fields),
    rescue: maybe(fields, 'rescue', readDoomed),
    boot: asId<FunctionId>(fields.text('boot')),
    softTimeoutMs: fields.count('softTimeoutMs'),
  };
}

function maybe<Value>(fields: Fields, name: string, read: (fields: Fields) => Value): Value | null {
  const found = fields.objectOrNull(name);
  return found ? read(found) : null;
}
