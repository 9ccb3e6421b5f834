import { DpuError, type ErrorRecord } from '../../core/errors.ts';
import { type InstanceState, stateAfter, transitions } from '../../core/instance-state.ts';
import type { DestroyInput, DiskInput, NicInput, PowerInput } from '../../core/operation/inputs.ts';
import { isEnded, type OperationRecord, type Planner } from '../../core/operation/journal.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { GuestRecord, RecordChange } from '../../core/records.ts';
import type { FunctionId, InstanceId, JsonObject } from '../../core/units.ts';
import { journaled, passwordInput, rebuildInput, rescueInput, unrescueInput } from './guest-inputs.ts';
import {
  abortMigrationInput,
  finishMigrationInput,
  prepareMigrationInput,
  resizeMachineInput,
} from './machine-inputs.ts';
import { passwordLivesMs } from './password-expiry.ts';

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
export function createPlanner(rows: Rows, driver: ComputeDriver, clock?: Pick<Clock, 'wallMs'>): Planner {
  return {
    async prepare(operation) {
      const { instance, kind, request } = operation;
      if (kind === 'destroy') {
        const { wipe } = request;
        return journaled({ ...doomed(rows, instance), ...(wipe === undefined ? {} : { wipe }) });
      }
      if (kind === 'rebuild') return journaled(rebuildInput(rows, operation));
      if (kind === 'rescue') return journaled(rescueInput(rows, operation));
      if (kind === 'unrescue') return journaled(unrescueInput(rows, operation));
      if (kind === 'reset_admin_password') return journaled(passwordInput(rows, operation));
      if (kind === 'resize') return resizeMachineInput(operation, bootFunction(rows, instance));
      if (kind === 'prepare_migration') {
        return journaled(prepareMigrationInput(operation, doomed(rows, instance).functions));
      }
      if (kind === 'finish_migration') {
        return journaled(finishMigrationInput(operation, doomed(rows, instance).functions));
      }
      if (kind === 'abort_migration') return journaled(abortMigrationInput(rows, operation, driver.nodeType));
      if (kind === 'start' || kind === 'stop' || kind === 'reboot') {
        if (kind !== 'stop' && driver.nodeType === 'BM') refuseWithoutBoot(rows, instance);
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
    settle: (operation, outcome, error) => settle(rows, operation, outcome, error, clock?.wallMs() ?? 0),
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
  const { boot } = request.disk === undefined ? { boot: false } : (request.disk as unknown as DiskInput);
  if (boot && bootFunction(rows, instance) !== null) throw new DpuError('conflict', 'the instance has a boot disk');
}

/** Its boot disk may have been detached since the request was accepted. */
function refuseWithoutBoot(rows: Rows, instance: InstanceId): void {
  if (bootFunction(rows, instance) === null) throw new DpuError('bad_state', 'the instance has no boot disk');
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

function startsHost(kind: OperationRecord['kind']): boolean {
  return ['build', 'start', 'reboot', 'rebuild', 'rescue'].includes(kind);
}

/** A password that this start has handed out is not handed out for long; null: there is none, or its time runs already. */
function handedOut(rows: Rows, instance: InstanceId, nowMs: number): GuestRecord | null {
  const guest = rows.getInstance(instance)?.guest;
  if (!guest?.password || guest.passwordUntilMs !== null) return null;
  return { ...guest, passwordUntilMs: nowMs + passwordLivesMs };
}

function settle(
  rows: Rows,
  operation: OperationRecord,
  outcome: 'succeeded' | 'failed' | 'cancelled' | 'stuck',
  error: ErrorRecord | null,
  nowMs: number,
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
  const guest = outcome === 'succeeded' && startsHost(kind) ? handedOut(rows, instance, nowMs) : null;
  const patch = {
    todo,
    ...(overtaken ? {} : { state }),
    ...(freed ? { claimed: false } : {}),
    ...(guest ? { guest } : {}),
  };
  return [{ type: 'instance', id: instance, patch }];
}
