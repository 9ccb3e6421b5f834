/** Reads the journaled inputs of plans that change what an instance is told. All throw DpuError `internal`, naming the field. */

import type { DriveInput, PasswordInput, RenewInput, TellChange } from '../../core/operation/inputs.ts';
import type { DriveLabel } from '../../core/records.ts';
import { asId, type InstanceId, type JsonObject } from '../../core/units.ts';
import { readDrive } from './input.ts';
import { type Fields, fieldsOf } from './json-fields.ts';

/** Input of `reset_admin_password`. */
export function readPasswordInput(input: JsonObject): PasswordInput {
  const fields = fieldsOf(input, 'input');
  return { instance: asId<InstanceId>(fields.text('instance')), ...readTellChange(fields) };
}

/** What it is told, before and after. */
export function readTellChange(fields: Fields): TellChange {
  return {
    renew: readRenew(fields.object('renew')),
    before: readRenew(fields.object('before')),
    drive: driveOrNull(fields, 'drive'),
    driveBefore: driveOrNull(fields, 'driveBefore'),
  };
}

function driveOrNull(fields: Fields, name: string): DriveInput | null {
  const found = fields.objectOrNull(name);
  return found ? readDrive(found) : null;
}

function readRenew(fields: Fields): RenewInput {
  const guest = fields.object('guest');
  return {
    guest: {
      userData: guest.textOrNull('userData'),
      password: guest.textOrNull('password'),
      passwordUntilMs: guest.countOrNull('passwordUntilMs'),
      drive: guest.textOrNull('drive') === null ? null : guest.oneOf<DriveLabel>('drive', ['config-2', 'cidata']),
      image: guest.textOrNull('image'),
    },
    metadata: fields.textMap('metadata'),
    sshKeys: fields.texts('sshKeys'),
    erase: fields.texts('erase'),
  };
}
