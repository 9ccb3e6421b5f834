import { DpuError, errorTable } from '../../../core/errors.ts';
import { isEnded } from '../../../core/operation/journal.ts';
import type { Args, MutatingMethod } from '../../../core/ports/compute-service.ts';
import type { Operation } from '../../../schemas/generated/operation.ts';
import type { Flow, Stage } from './flow.ts';

/** How the audit log names us. */
const caller = { by: 'openstack' } as const;

/** A method's arguments without what the flow adds. */
export type ComputeArgs<Method extends MutatingMethod> = Omit<Args<Method>, 'request_id' | 'wait'>;

/**
 * Has this node do something to the instance and waits for its end: the same use case as the project's own RPC. Done again after a crash it
 * finds the first try (by the flow's id and `key`; a build and a destroy by the instance).
 * @throws DpuError: the operation's own error; `busy` while another operation of the instance runs; those of `submit`.
 */
export async function compute<Method extends MutatingMethod>(
  flow: Flow,
  key: string,
  method: Method,
  args: ComputeArgs<Method>,
  signal: AbortSignal,
): Promise<Operation> {
  const { compute: service } = flow.parts;
  const withKey = { ...args, request_id: `flow:${flow.id}:${key}` } as unknown as Args<Method>;
  let operation = await service.submit(method, withKey, caller).catch((error: unknown) => {
    throw asBusy(error);
  });
  // stuck by an earlier try, which had its failure: what was wrong may be mended by now
  if (operation.state === 'stuck') operation = await service.retryOperation(operation.id, caller);
  const end = await service.waitForEnd(operation.id, signal);
  if (end.state === 'succeeded') return end;
  throw endError(method, end);
}

/** Another operation of the instance (an operator's, or one that is taken back still) ends sooner or later. */
function asBusy(error: unknown): unknown {
  const runs = error instanceof DpuError && error.code === 'conflict' && error.details?.kind !== undefined;
  return runs ? new DpuError('busy', 'another operation of the instance runs on the node', { cause: error }) : error;
}

/** The error of an operation that did not succeed. It had its own retries: ours would only find its end again. */
function endError(method: string, end: Operation): DpuError {
  if (!isEnded(end.state) && end.state !== 'stuck')
    return new DpuError('unavailable', `${method} goes on after the node's restart`);
  const { error } = end;
  if (!error) return new DpuError('hardware', `${method} was cancelled on the node`);
  const code = errorTable[error.code].retry === 'backoff' ? 'hardware' : error.code;
  return new DpuError(code, error.message, error.field === undefined ? {} : { field: error.field });
}

/** A stage that has this node do something. */
export function computeStage<Method extends MutatingMethod>(
  flow: Flow,
  name: string,
  method: Method,
  args: ComputeArgs<Method>,
  undo?: Stage['undo'],
): Stage {
  return {
    name,
    async run({ signal }) {
      await compute(flow, name, method, args, signal);
      return undefined;
    },
    ...(undo === undefined ? {} : { undo }),
  };
}

/** The instance's state on this node; undefined where the node has none of that id. */
export function stateHere(flow: Flow): string | undefined {
  try {
    const { state } = flow.parts.compute.getInstance(flow.instance);
    return state === 'deleted' ? undefined : state;
  } catch (error) {
    if (error instanceof DpuError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** Takes the instance off this node, whatever it is and whatever runs there; none is fine. */
export async function destroyHere(flow: Flow, signal: AbortSignal): Promise<void> {
  if (stateHere(flow) === undefined) return;
  try {
    await compute(flow, 'destroy', 'destroy_instance', { uuid: flow.instance }, signal);
  } catch (error) {
    if (error instanceof DpuError && error.code === 'not_found' && stateHere(flow) === undefined) return;
    throw error;
  }
}
