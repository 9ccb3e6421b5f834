/** Steps that change what an instance is told of itself. They ask nobody: what they do is a change of its record. */

import type { PasswordInput, RenewInput, TellChange } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import type { RecordChange } from '../../core/records.ts';
import type { InstanceId } from '../../core/units.ts';
import { stepRetry } from './deadlines.ts';
import { driveStep } from './drive.ts';
import type { DeviceParts } from './parts.ts';

/** `instance:renew`: from now on it is told this. Undo: what it was told before, whose secrets are still there. */
export function renewStep(
  parts: Pick<DeviceParts, 'deadlines'>,
  instance: InstanceId,
  { renew, before }: TellChange,
  after: readonly string[],
): Step {
  return {
    name: 'instance:renew',
    after,
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () => await Promise.resolve({ changes: [told(instance, renew)] }),
    undo: async () => await Promise.resolve({ changes: [told(instance, before)] }),
  };
}

/** `secrets:erase`: what nothing refers to any more goes. There is no way back behind it. */
export function eraseStep(
  parts: Pick<DeviceParts, 'deadlines'>,
  { erase }: RenewInput,
  after: readonly string[],
): Step {
  return {
    name: 'secrets:erase',
    after,
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () => await Promise.resolve({ changes: erase.map((id): RecordChange => ({ type: 'secret-gone', id })) }),
  };
}

/** The step that writes the drive, where there is one. */
export function driveSteps(
  parts: DeviceParts,
  instance: InstanceId,
  { drive, driveBefore }: TellChange,
  after: readonly string[],
): readonly Step[] {
  return drive ? [driveStep(parts, instance, { drive, before: driveBefore }, after)] : [];
}

/**
 * The plan of `reset_instance_admin_password`: the guest finds the password's hash on its drive and in the metadata when it starts the next time, and
 * takes it over once.
 */
export function resetPasswordPlan(parts: DeviceParts, input: PasswordInput): Plan {
  const written = driveSteps(parts, input.instance, input, []);
  const renewed = renewStep(
    parts,
    input.instance,
    input,
    written.map((each) => each.name),
  );
  const erased = eraseStep(parts, input.renew, [renewed.name]);
  return {
    steps: [...written, renewed, erased],
    pivot: erased.name,
    result: () => ({ takes_effect: 'next_start', drive: input.drive !== null }),
  };
}

function told(id: InstanceId, { guest, metadata, sshKeys }: RenewInput): RecordChange {
  return { type: 'instance', id, patch: { guest, metadata, sshKeys } };
}
