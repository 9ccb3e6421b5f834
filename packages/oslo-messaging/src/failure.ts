import { RemoteError } from './errors.ts';
import { isRecord } from './json.ts';

/** Parts of a failure as oslo.messaging names them. */
export type FailureParts = {
  readonly rpcClass: string;
  readonly rpcModule: string;
  readonly message: string;
  /** Keyword arguments that the class's constructor gets when the caller re-creates it. */
  readonly rpcKwargs?: Readonly<Record<string, unknown>>;
};

/**
 * What a handler throws to decide what the caller sees. A caller that has `rpcModule` among its
 * allowed_remote_exmods re-creates the class with the message and the kwargs; others see a RemoteError.
 */
export class RpcFailure extends Error implements FailureParts {
  readonly rpcClass: string;
  readonly rpcModule: string;
  readonly rpcKwargs: Readonly<Record<string, unknown>>;
  constructor(parts: FailureParts, options?: ErrorOptions) {
    super(parts.message, options);
    this.name = 'RpcFailure';
    this.rpcClass = parts.rpcClass;
    this.rpcModule = parts.rpcModule;
    this.rpcKwargs = parts.rpcKwargs ?? {};
  }
}

/** Module of the failures that oslo.messaging's own dispatcher raises. */
export const dispatcherModule = 'oslo_messaging.rpc.dispatcher';

/** Module of the failures of this package; on nobody's allow list, so callers see a RemoteError. */
export const ownModule = 'oslo_messaging_node';

/** The method is not offered (oslo_messaging.rpc.dispatcher.NoSuchMethod). */
export function noSuchMethod(method: string): RpcFailure {
  return new RpcFailure({
    rpcClass: 'NoSuchMethod',
    rpcModule: dispatcherModule,
    message: `Endpoint does not support RPC method ${method}`,
  });
}

/** No endpoint has a compatible version in that namespace (oslo_messaging.rpc.dispatcher.UnsupportedVersion). */
export function unsupportedVersion(version: string, method: string): RpcFailure {
  return new RpcFailure({
    rpcClass: 'UnsupportedVersion',
    rpcModule: dispatcherModule,
    message: `Endpoint does not support RPC version ${version}. Attempted method: ${method}`,
  });
}

/** The request could not be understood. */
export function badRequest(reason: string): RpcFailure {
  return new RpcFailure({ rpcClass: 'BadRequest', rpcModule: ownModule, message: `Bad RPC message: ${reason}` });
}

/** Parts to send for anything thrown. An error that does not say what the caller may see becomes a constant text. */
export function toFailureParts(error: unknown): FailureParts {
  if (isFailure(error)) return error;
  return { rpcClass: 'InternalError', rpcModule: ownModule, message: 'The handler failed' };
}

/** The `failure` member of a reply: JSON text, without a traceback (`tb` empty). */
export function encodeFailure(parts: FailureParts): string {
  return JSON.stringify({
    class: parts.rpcClass,
    module: parts.rpcModule,
    message: parts.message,
    tb: [],
    args: [parts.message],
    kwargs: parts.rpcKwargs ?? {},
  });
}

/** What a caller makes of a failure; it gets the RemoteError to read class, module, message and kwargs from. */
export type RemoteErrorClass = new (remote: RemoteError) => Error;

/** Error classes by Python module and class name, for example `{ 'nova.exception': { InstanceNotFound } }`. */
export type AllowedModules = Readonly<Record<string, Readonly<Record<string, RemoteErrorClass>>>>;

/**
 * The error for the caller: an instance of the class that `allowed` has for module and class, else the RemoteError as it is,
 * as oslo.messaging does by `allowed_remote_exmods`. Nothing is ever loaded by a name that came over the wire.
 */
export function recreateError(remote: RemoteError, allowed: AllowedModules): Error {
  if (!Object.hasOwn(allowed, remote.rpcModule)) return remote;
  const classes = allowed[remote.rpcModule] ?? {};
  const Class = Object.hasOwn(classes, remote.rpcClass) ? classes[remote.rpcClass] : undefined;
  if (Class === undefined) return remote;
  try {
    return new Class(remote);
  } catch {
    return remote; // a class that cannot be built from these kwargs: oslo falls back in the same way
  }
}

/** Reads the `failure` member of a reply. Never throws: what cannot be read becomes a RemoteError that says so. */
export function decodeFailure(failure: unknown): RemoteError {
  let value: unknown = failure;
  if (typeof failure === 'string') {
    try {
      value = JSON.parse(failure);
    } catch {
      value = undefined; // told to the caller as an unreadable failure below
    }
  }
  if (!isRecord(value)) return new RemoteError('Unreadable', '', 'the failure could not be read', {});
  const text = (part: unknown) => (typeof part === 'string' ? part : '');
  const kwargs = isRecord(value.kwargs) ? value.kwargs : {};
  return new RemoteError(text(value.class), text(value.module), text(value.message), kwargs);
}

function isFailure(error: unknown): error is FailureParts {
  if (typeof error !== 'object' || error === null) return false;
  const parts = error as Partial<Record<keyof FailureParts, unknown>>;
  return (
    typeof parts.rpcClass === 'string' &&
    typeof parts.rpcModule === 'string' &&
    typeof parts.message === 'string' &&
    (parts.rpcKwargs === undefined || isRecord(parts.rpcKwargs))
  );
}
