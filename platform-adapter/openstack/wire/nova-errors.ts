import { ClosedError, MessagingError, MessagingTimeout, RemoteError, RpcFailure } from 'oslo-messaging';
import { DpuError, type ErrorCode, toDpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { type NovaClass, novaExceptions, novaText } from './nova-exceptions.ts';

const novaModule = 'nova.exception';

/**
 * The instance's task state is not what a save expected (nova's compare-and-set): somebody else has taken the instance over, and
 * what we do must end and be undone. `deleting`: a delete has (UnexpectedDeletingTaskStateError). Code `conflict`.
 */
export class TaskStateError extends DpuError {
  readonly deleting: boolean;
  constructor(doing: string, remote: RemoteError) {
    super('conflict', `${doing}: the task state is another than expected`, {
      details: novaDetails(remote.rpcClass, remote.kwargs),
      cause: remote,
    });
    this.deleting = remote.rpcClass === 'UnexpectedDeletingTaskStateError';
  }
}

/** Whether a save failed its compare-and-set on the task state. */
export function isTaskStateError(error: unknown): error is TaskStateError {
  return error instanceof TaskStateError;
}

/** Whether it did since the instance is being deleted. */
export function isDeletingError(error: unknown): error is TaskStateError {
  return error instanceof TaskStateError && error.deleting;
}

/**
 * An error of ours that nova's services see as this class of theirs. As a flow's error it becomes the instance's fault; as
 * a call's answer the failure (`novaFailure`).
 */
export function novaError(
  name: NovaClass,
  kwargs: JsonObject = {},
  options: { readonly cause?: unknown } = {},
): DpuError {
  return new DpuError(novaExceptions[name].code, novaText(name, kwargs), {
    details: novaDetails(name, kwargs),
    ...options,
  });
}

/** The class of `nova.exception` that an error came from or is meant as; undefined: of none. */
export function novaClassOf(error: unknown): string | undefined {
  const name = error instanceof DpuError ? error.details?.nova_class : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** Whether an error came from nova as this class. */
export function isNova(error: unknown, ...names: readonly NovaClass[]): error is DpuError {
  return names.some((name) => name === novaClassOf(error));
}

/** What is not ours as the class that nova's callers expect; where nova_class says nothing, by the code. */
const byCode: Readonly<Record<ErrorCode, NovaClass>> = {
  invalid: 'Invalid',
  not_found: 'NotFound',
  conflict: 'Invalid',
  busy: 'ServiceUnavailable',
  exhausted: 'ComputeResourcesUnavailable',
  unsupported: 'NotSupported',
  bad_state: 'Invalid',
  unavailable: 'ServiceUnavailable',
  timeout: 'ServiceUnavailable',
  denied: 'Forbidden',
  hardware: 'NovaException',
  internal: 'NovaException',
};

/** The failure that a caller of nova gets; what is not a DpuError tells nothing of itself. */
export function novaFailure(thrown: unknown): RpcFailure {
  if (thrown instanceof RpcFailure) return thrown;
  const error = toDpuError(thrown, 'the request failed for a reason that is in the log of the node');
  const name = tableClass(error);
  const kwargs = { ...kwargsOf(error), code: novaExceptions[name].status };
  return new RpcFailure(
    { rpcClass: name, rpcModule: novaModule, message: error.message, rpcKwargs: kwargs },
    { cause: thrown },
  );
}

/** What a driver that can't do a thing answers: Python's own NotImplementedError, which nova's API turns into a 501 or 400. */
export function notImplemented(message: string): RpcFailure {
  return new RpcFailure({ rpcClass: 'NotImplementedError', rpcModule: 'builtins', message });
}

/** An error as the fault of an instance: nova's status, and a text of at most 255 characters. */
export function faultOf(thrown: unknown): { readonly code: number; readonly message: string } {
  const { code, message } = exceptionOf(thrown);
  return { code, message: message.slice(0, 255) };
}

/** An error as nova's exception of it: its class, its status, and its text. */
export function exceptionOf(thrown: unknown): {
  readonly name: string;
  readonly code: number;
  readonly message: string;
} {
  const error = toDpuError(thrown, 'the operation failed for a reason that is in the log of the node');
  const name = tableClass(error);
  return { name, code: novaExceptions[name].status, message: error.message };
}

/** Our error for one of oslo-messaging's. An aborted signal's reason stays what it is. */
export function fromMessaging(thrown: unknown, doing: string): unknown {
  if (thrown instanceof RemoteError) return fromRemote(thrown, doing);
  if (thrown instanceof MessagingTimeout)
    return new DpuError('timeout', `${doing}: no answer in time`, { cause: thrown });
  if (thrown instanceof ClosedError)
    return new DpuError('unavailable', `${doing}: the daemon stops`, { cause: thrown });
  if (!(thrown instanceof MessagingError)) return thrown;
  const mine = thrown.code === 'encode' || thrown.code === 'version-cap' || thrown.code === 'flags-mismatch';
  return new DpuError(mine ? 'internal' : 'unavailable', `${doing}: the message did not get through`, {
    cause: thrown,
  });
}

function fromRemote(remote: RemoteError, doing: string): DpuError {
  const { rpcClass } = remote;
  if (rpcClass === 'UnexpectedTaskStateError' || rpcClass === 'UnexpectedDeletingTaskStateError')
    return new TaskStateError(doing, remote);
  const known = isNovaClass(rpcClass);
  return new DpuError(known ? novaExceptions[rpcClass].code : 'internal', `${doing}: nova refused it`, {
    details: novaDetails(rpcClass, remote.kwargs),
    cause: withoutStatement(remote),
  });
}

/** An error of nova's database quotes the statement with its values (SQLAlchemy: `[SQL: ...]`), and a mapping's hold a volume's secret. */
function withoutStatement(remote: RemoteError): Error {
  const place = remote.message.search(/\[(SQL|parameters):/);
  return place < 0 ? remote : new Error(remote.message.slice(0, place).trim());
}

function isNovaClass(name: string): name is NovaClass {
  return Object.hasOwn(novaExceptions, name);
}

function tableClass(error: DpuError): NovaClass {
  const name = novaClassOf(error);
  return name !== undefined && isNovaClass(name) ? name : byCode[error.code];
}

function novaDetails(name: string, kwargs: Readonly<Record<string, unknown>>): JsonObject {
  return { nova_class: name, nova_kwargs: kwargs as JsonObject };
}

function kwargsOf(error: DpuError): JsonObject {
  const kwargs: Json | undefined = error.details?.nova_kwargs;
  const isObject = typeof kwargs === 'object' && kwargs !== null && !Array.isArray(kwargs);
  return isObject ? (kwargs as JsonObject) : { reason: error.message };
}
