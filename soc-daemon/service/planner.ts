import type { ErrorRecord } from '../../core/errors.ts';
import { type InstanceState, stateAfter, transitions } from '../../core/instance-state.ts';
import type { DestroyInput, PowerInput } from '../../core/operation/inputs.ts';
import type { OperationRecord, Planner } from '../../core/operation/journal.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { RecordChange } from '../../core/records.ts';
import type { FunctionId, InstanceId, JsonObject } from '../../core/units.ts';

type Rows = Pick<NodeStore, 'functions' | 'bindings' | 'getInstance'>;

/** Everything of an instance that the store knows, whole or half made. */
function doomed(rows: Rows, instance: InstanceId): DestroyInput {
  const roles = new Map(rows.functions(instance).map((each) => [each.id, each.role]));
  return {
    instance,
    ownsHost: rows.getInstance(instance)?.claimed ?? false,
    functions: rows.bindings(instance).map((binding) => ({
      functionId: binding.functionId,
      role: roles.get(binding.functionId) ?? (binding.kind === 'port' ? 'nic' : binding.boot ? 'boot' : 'disk'),
      kind: binding.kind,
      key: binding.key,
      madeForInstance: binding.madeForInstance,
    })),
  };
}

/** The function that an instance starts from. */
export function bootFunction(rows: Pick<NodeStore, 'bindings'>, instance: InstanceId): FunctionId | null {
  return rows.bindings(instance).find((binding) => binding.boot)?.functionId ?? null;
}

/** Makes plans: facts from the store when an operation starts, steps from the driver, ends from the state table. */
export function createPlanner(rows: Rows, driver: ComputeDriver): Planner {
  return {
    async prepare(operation) {
      const { instance, kind, request } = operation;
      if (kind === 'destroy') return doomed(rows, instance) as unknown as JsonObject;
      if (kind === 'start' || kind === 'stop' || kind === 'reboot') {
        const timeout = request.timeout;
        const input: PowerInput = {
          instance,
          type: request.type === 'hard' ? 'hard' : 'soft',
          softTimeoutMs: (typeof timeout === 'number' ? timeout : 60) * 1000,
          boot: bootFunction(rows, instance),
        };
        return input as unknown as JsonObject;
      }
      return request;
    },
    plan: (operation, input) => driver.plan(operation, input),
    settle: (operation, outcome, error) => settle(operation, outcome, error),
  };
}

function settle(
  operation: OperationRecord,
  outcome: 'succeeded' | 'failed' | 'cancelled' | 'stuck',
  error: ErrorRecord | null,
): readonly RecordChange[] {
  const { kind, instance } = operation;
  // a build begins without a state
  const stateBefore = (operation.stateBefore ?? transitions[kind].during) as InstanceState;
  const todo =
    outcome === 'succeeded' || outcome === 'cancelled' || error === null
      ? null
      : { code: error.code, message: error.message, operation: operation.id };
  const freed =
    kind === 'build' ? outcome === 'failed' || outcome === 'cancelled' : kind === 'destroy' && outcome === 'succeeded';
  const state = stateAfter(kind, outcome, stateBefore);
  return [{ type: 'instance', id: instance, patch: { state, todo, ...(freed ? { claimed: false } : {}) } }];
}
