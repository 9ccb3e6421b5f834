import { hasCode } from '../../core/errors.ts';
import type { PasswordInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { stepRetry } from '../devices/deadlines.ts';
import { passwordOf } from '../devices/drive.ts';
import { resetPasswordPlan } from '../devices/guest-steps.ts';
import { fieldsOf } from '../devices/json-fields.ts';
import type { VmParts } from './parts.ts';

/**
 * The plan of `reset_instance_admin_password`: the guest's agent sets it at once. A guest without one finds it on its drive and in the metadata when it
 * starts the next time, as on bare metal.
 */
export function passwordPlan(parts: VmParts, input: PasswordInput): Plan {
  const { instance, renew, drive } = input;
  const told = resetPasswordPlan(parts, input);
  const set: Step = {
    name: 'machine:password',
    after: [],
    deadlineMs: parts.deadlines.machineMs,
    retry: stepRetry,
    async run({ signal, secret }) {
      const password = await passwordOf(renew.guest, secret);
      if (!password) return { output: { set: false } };
      try {
        await parts.agent.setAdminPassword(instance, { user: password.user, hash: password.hash }, signal);
        return { output: { set: true } };
      } catch (error) {
        if (!hasCode(error, 'unsupported')) throw error;
        return { output: { set: false } };
      }
    },
  };
  return {
    steps: [set, ...told.steps.map((step) => (step.after.length === 0 ? { ...step, after: [set.name] } : step))],
    pivot: told.pivot,
    result: (output) => ({
      takes_effect: fieldsOf(output(set.name), set.name).flag('set') ? 'now' : 'next_start',
      drive: drive !== null,
    }),
  };
}
