import { DpuError } from '../../../core/errors.ts';
import type { Operation } from '../../../schemas/generated/operation.ts';
import { novaError } from '../wire/nova-errors.ts';
import { readServer, textArgument } from './arguments.ts';
import { bracketed, isAway, revert } from './bracket.ts';
import { compute, stateHere } from './compute.ts';
import type { Flow, FlowDefinition } from './flow.ts';
import { saveStage } from './nova-record.ts';

/** As nova: why it could not be set is for the log of the node, not for users. */
function notSet(flow: Flow, error: unknown): unknown {
  if (isAway(error) || !(error instanceof DpuError)) return error;
  if (error.code === 'unsupported') return novaError('SetAdminPasswdNotSupported', {}, { cause: error });
  const reason = 'error setting admin password';
  return novaError('InstancePasswordSetFailed', { instance: flow.instance, reason }, { cause: error });
}

/** Whether the guest has it or will find it: Neutron's metadata service knows nothing of it, so without an agent there must be a config drive. */
function reachesGuest({ result }: Operation): boolean {
  const { takes_effect: effect, drive } = (result ?? {}) as Readonly<Record<string, unknown>>;
  return effect === 'now' || drive === true;
}

/**
 * set_admin_password: a call. The node seals the password's hash and hands it to the guest, which takes it over when it next looks: a VM with an agent
 * at once, others at their next start from their config drive.
 */
export const adminPassword: FlowDefinition = {
  planVersion: 1,
  read: (args) => readServer(args, { password: textArgument(args, 'new_pass', 1024) ?? '' }),
  plan: (flow) =>
    bracketed(
      flow,
      [
        {
          name: 'password',
          async run({ signal }) {
            if (stateHere(flow) !== 'active') {
              const reason = `instance ${flow.instance} is not running`;
              throw novaError('InstancePasswordSetFailed', { instance: flow.instance, reason });
            }
            const args = { uuid: flow.instance, new_password: String(flow.request.password) };
            try {
              const done = await compute(flow, 'password', 'reset_instance_admin_password', args, signal);
              if (!reachesGuest(done)) throw new DpuError('unsupported', 'neither an agent nor a drive brings it');
            } catch (error) {
              throw notSet(flow, error);
            }
            return undefined;
          },
        },
        saveStage(flow, 'saved', { task_state: null }, ['updating_password']),
      ],
      { failure: revert },
    ),
};
