import { DpuError, type ErrorRecord } from '../../core/errors.ts';
import { type InstanceState, stateAfter, transitions } from '../../core/instance-state.ts';
import type { DestroyInput, DiskInput, NicInput, PowerInput } from '../../core/operation/inputs.ts';
import { isEnded, type OperationRecord, type Planner } from '../../core/operation/journal.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { RecordChange } from '../../core/records.ts';
import type { FunctionId, InstanceId, JsonObject } from '../../core/units.ts';

type Rows = Pick<NodeStore, 'functions' | 'bindings' | 'getInstance' | 'getOperation'>;

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
      if (kind === 'attach_volume' || kind === 'attach_interface') refuseAttached(rows, instance, request);
      return request;
    },
    plan: (operation, input) => driver.plan(operation, input),
    settle: (operation, outcome, error) => settle(rows, operation, outcome, error),
  };
}

/**
 * Of two equal attaches at once the second may be accepted after the first has ended. It must not begin: its steps would
 * find the first one's device, and its undo would take that away.
 */
function refuseAttached(rows: Rows, instance: InstanceId, request: JsonObject): void {
  const { functionId } = (request.disk ?? request.nic) as unknown as DiskInput | NicInput;
  if (rows.bindings(instance).some((binding) => binding.functionId === functionId)) {
    throw new DpuError('conflict', 'it is attached already');
  }
}

/** The state that an operation began in; a build begins without one. */
function stateBefore(operation: OperationRecord): InstanceState {
  return (operation.stateBefore ?? transitions[operation.kind].during) as InstanceState;
}

/** The state that the instance would have without an operation: the end of the one that it overtook, if it overtook one. */
function stateWithout(rows: Rows, operation: OperationRecord): InstanceState {
  const overtaken = operation.waitsFor === null ? null : rows.getOperation(operation.waitsFor);
  if (!overtaken || !isEnded(overtaken.state)) return stateBefore(operation);
  return stateAfter(overtaken.kind, overtaken.state, stateBefore(overtaken));
}

function settle(
  rows: Rows,
  operation: OperationRecord,
  outcome: 'succeeded' | 'failed' | 'cancelled' | 'stuck',
  error: ErrorRecord | null,
): readonly RecordChange[] {
  const { kind, instance } = operation;
  const todo =
    outcome === 'succeeded' || outcome === 'cancelled' || error === null
      ? null
      : { code: error.code, message: error.message, operation: operation.id };
  const freed =
    kind === 'build' ? outcome === 'failed' || outcome === 'cancelled' : kind === 'destroy' && outcome === 'succeeded';
  // a destroy that overtakes has changed the state already, and it is the destroy's from then on
  const overtaken = kind !== 'destroy' && rows.getInstance(instance)?.state === 'deleting';
  const state = stateAfter(kind, outcome, stateWithout(rows, operation));
  const patch = { todo, ...(overtaken ? {} : { state }), ...(freed ? { claimed: false } : {}) };
  return [{ type: 'instance', id: instance, patch }];
}
