import {
  ClosedError,
  ConflictError,
  ConnectionLostError,
  InUseError,
  InvalidOptionsError,
  LimitError,
  MethodNotFoundError,
  ProtocolError,
  RequestTimeoutError,
  RpcError,
} from 'spdk-client';
import { DpuError } from '../../core/errors.ts';

/** The error of ours for what a call to SPDK was rejected with; `doing` says what we were at. A signal's reason stays what it is. */
export function fromSpdk(error: unknown, doing: string, signal?: AbortSignal): unknown {
  if (signal?.aborted && error === signal.reason) return error;
  if (error instanceof DpuError) return error;
  const options = { cause: error };
  if (error instanceof RequestTimeoutError)
    return new DpuError('timeout', `${doing}: SPDK did not answer in time`, options);
  if (
    error instanceof ConnectionLostError ||
    error instanceof ClosedError ||
    error instanceof ProtocolError ||
    error instanceof LimitError
  ) {
    return new DpuError('unavailable', `${doing}: SPDK is not reachable`, options);
  }
  if (error instanceof InUseError) return new DpuError('busy', `${doing}: the host uses it`, options);
  if (error instanceof ConflictError) return new DpuError('conflict', `${doing}: something else is there`, options);
  if (error instanceof InvalidOptionsError)
    return new DpuError('invalid', `${doing}: SPDK would refuse the options`, options);
  if (error instanceof MethodNotFoundError) {
    return new DpuError('unsupported', `${doing}: this SPDK has no ${error.method}`, options);
  }
  if (error instanceof RpcError) return new DpuError('hardware', `${doing}: SPDK refused`, options);
  return new DpuError('internal', doing, options);
}

/** Runs calls to SPDK and turns what they reject with into errors of ours. */
export async function asking<Result>(
  doing: string,
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    throw fromSpdk(error, doing, signal);
  }
}
