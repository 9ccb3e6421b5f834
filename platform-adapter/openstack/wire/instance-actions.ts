import type { Conductor } from './conductor.ts';
import { faultOf } from './nova-errors.ts';
import { sparse } from './objects.ts';
import { versionOf } from './releases.ts';

/**
 * Begins an event of the instance's newest action with this request id (`compute_stop_instance`): what `openstack server event
 * show` tells. Begun twice, two are shown. @throws `not_found` (InstanceActionNotFound).
 */
export async function eventStart(conductor: Conductor, uuid: string, event: string, host: string): Promise<void> {
  await conductor.classAction('InstanceActionEvent', 'event_start', [uuid, event], { want_result: false, host });
}

/** Ends the event: with an error's text where it failed. @throws `not_found`. */
export async function eventFinish(conductor: Conductor, uuid: string, event: string, error?: unknown): Promise<void> {
  const message = error === undefined ? null : faultOf(error).message;
  await conductor.classAction('InstanceActionEvent', 'event_finish_with_failure', [uuid, event], {
    exc_val: message,
    exc_tb: message,
    want_result: false,
  });
}

/**
 * Makes the action of this request (`confirmResize`), where nova's API did not: one that is there already is fine. The action is the context's user's.
 */
export async function ensureAction(conductor: Conductor, uuid: string, action: string, request: string): Promise<void> {
  const there = await conductor.classAction('InstanceAction', 'get_by_request_id', [uuid, request]);
  if (there === null)
    await conductor.classAction('InstanceAction', 'action_start', [uuid, action], { want_result: false });
}

/** Writes the fault that the API shows for a server in error. Its details are the text again: nobody gets a stack of ours. */
export async function createFault(conductor: Conductor, uuid: string, host: string, error: unknown): Promise<void> {
  const { code, message } = faultOf(error);
  const changes = { instance_uuid: uuid, code, message, details: message, host };
  await conductor.objectAction(
    sparse('InstanceFault', versionOf(conductor.release, 'InstanceFault'), {}, changes),
    'create',
  );
}
