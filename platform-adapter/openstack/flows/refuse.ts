import { novaError } from '../wire/nova-errors.ts';
import type { NovaClass } from '../wire/nova-exceptions.ts';
import { readServer } from './arguments.ts';
import { bracketed, type FailurePolicy, revert } from './bracket.ts';
import type { Flow, FlowDefinition } from './flow.ts';
import { faultOnly } from './interfaces.ts';
import { liveMigration } from './live-migration.ts';

/**
 * What a node can't do: the flow begins the event, fails, and nova is told as a driver without the method would have it. So no server stays
 * in a task state.
 */
export function refused(name: NovaClass, policy: FailurePolicy = revert): FlowDefinition {
  return {
    planVersion: 1,
    read: (args) => readServer(args),
    plan: (flow) =>
      bracketed(
        flow,
        [
          {
            name: 'refuse',
            run() {
              return Promise.reject(refusal(name, flow));
            },
          },
        ],
        { failure: policy },
      ),
  };
}

function refusal(name: NovaClass, flow: Pick<Flow, 'instance' | 'method'>): Error {
  return novaError(name, {
    instance_uuid: flow.instance,
    instance_id: flow.instance,
    instance: flow.instance,
    reason: `${flow.method} is not supported by this node`,
  });
}

/** Casts that no node of ours can do. Those without a task state of their own leave the one that there is: it is another request's. */
export const refusedFlows: Readonly<Record<string, FlowDefinition>> = {
  trigger_crash_dump: refused('NotSupported', faultOnly),
  inject_network_info: refused('NotSupported', { fault: false }),
  unquiesce_instance: refused('InstanceQuiesceNotSupported', faultOnly),
  add_fixed_ip_to_instance: refused('NotSupported', faultOnly),
  remove_fixed_ip_from_instance: refused('NotSupported', faultOnly),
  backup_instance: refused('NotSupported', revert),
  volume_snapshot_create: refused('NotSupported', { fault: false }),
  volume_snapshot_delete: refused('NotSupported', { fault: false }),
  live_migration: liveMigration,
  live_migration_force_complete: refused('NotSupported', faultOnly),
  live_migration_abort: refused('NotSupported', faultOnly),
  rollback_live_migration_at_destination: refused('NotSupported', { fault: false }),
  snapshot_instance: refused('NotSupported', revert),
  shelve_instance: refused('NotSupported', revert),
};
