import { checkUuid, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import type { FlowDefinition } from './flow.ts';
import { powerStates, saveStage } from './nova-record.ts';

/** What nova is told of an instance whose host was seen on or off: our state -> nova's. */
const observed: Readonly<Record<string, { readonly vm_state: string; readonly power_state: number }>> = {
  active: { vm_state: 'active', power_state: powerStates.running },
  stopped: { vm_state: 'stopped', power_state: powerStates.shutdown },
};

/** Whether nova's record of a server says something else than what is seen, and is to be changed. */
export function differsFrom(
  record: { readonly vm_state: string | null; readonly task_state: string | null; readonly power_state: number | null },
  state: string,
): boolean {
  const now = observed[state];
  if (now === undefined || record.task_state !== null) return false;
  if (record.vm_state !== 'active' && record.vm_state !== 'stopped') return false;
  return record.vm_state !== now.vm_state || record.power_state !== now.power_state;
}

/**
 * The user has switched the host on or off by itself: nova's record follows, unless something was asked of the server meanwhile. Nova's own driver
 * would stop again what was started so; a host of ours is the user's to start.
 */
export const powerSync: FlowDefinition = {
  planVersion: 1,
  event: null,
  read(args) {
    const instance = checkUuid(textArgument(args, 'instance') ?? '', 'instance');
    return { instance, request: { state: textArgument(args, 'state') ?? '' } };
  },
  plan(flow) {
    const now = observed[String(flow.request.state)] ?? {};
    return bracketed(flow, [saveStage(flow, 'saved', { ...now, task_state: null }, [null])], {
      failure: { fault: false, instead: () => Promise.resolve() },
    });
  },
};
