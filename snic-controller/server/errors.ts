import { DpuError, type ErrorCode, toDpuError } from '../../core/errors.ts';
import { JsonRpcError, type RpcErrorObject, rpcCodes } from '../../kit/json-rpc/protocol.ts';

/** The number of each error (JSON-RPC 2.0 5.1: -32000 to -32099 are the server's own). Stable. */
const codes: Readonly<Record<ErrorCode, number>> = {
  not_found: -32001,
  conflict: -32002,
  exhausted: -32003,
  busy: -32004,
  unsupported: -32005,
  hardware: -32006,
  unavailable: -32007,
  bad_state: -32008,
  denied: -32009,
  timeout: -32010,
  invalid: rpcCodes.invalidParams,
  internal: rpcCodes.internalError,
};

/** An answer's error: the code's number, and by name in `data.code`. */
export function errorObject(thrown: unknown): RpcErrorObject {
  if (thrown instanceof JsonRpcError) return { code: thrown.code, message: thrown.message };
  const { code, message, field, details } = toDpuError(thrown, 'the request failed');
  return {
    code: codes[code],
    message,
    data: { code, ...(field === undefined ? {} : { field }), ...(details === undefined ? {} : { details }) },
  };
}

/** The error that an answer stands for, as the client's caller has it. */
export function errorFrom(thrown: unknown): unknown {
  if (!(thrown instanceof JsonRpcError)) return thrown;
  const { code, field, details } = (thrown.data ?? {}) as Record<string, unknown>;
  const named = Object.keys(codes) as ErrorCode[];
  const known = named.find((each) => each === code) ?? named.find((each) => codes[each] === thrown.code);
  return new DpuError(known ?? 'internal', thrown.message, {
    ...(typeof field === 'string' ? { field } : {}),
    ...(typeof details === 'object' && details !== null ? { details: details as DpuError['details'] & object } : {}),
    cause: thrown,
  });
}
