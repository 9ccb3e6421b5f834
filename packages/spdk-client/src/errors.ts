import { errnoName } from './errno.ts';

/** Base of every error this package throws on purpose; `code` is stable, the text is not. */
export class SpdkError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The connection went away after the request was written: SPDK may or may not have done it. Look before you repeat. */
export class ConnectionLostError extends SpdkError {
  constructor(message = 'connection to SPDK lost', options?: ErrorOptions) {
    super('connection-lost', message, options);
  }
}

/** No answer before the deadline. SPDK has no cancel: the request may still be carried out. */
export class RequestTimeoutError extends SpdkError {
  /** Whether the request had been written to the socket; if not, SPDK never saw it. */
  readonly sent: boolean;
  constructor(method: string, timeoutMs: number, sent: boolean) {
    super('timeout', `${method}: no answer in ${timeoutMs} ms`);
    this.sent = sent;
  }
}

/** The client was closed by its owner. */
export class ClosedError extends SpdkError {
  constructor(message = 'the client is closed') {
    super('closed', message);
  }
}

/** The peer sent what is not JSON-RPC, or more than the limit. The connection was dropped. */
export class ProtocolError extends SpdkError {
  constructor(message: string, options?: ErrorOptions) {
    super('protocol', message, options);
  }
}

/** A limit of this client was reached before anything was sent: too many requests waiting, or a request too long. */
export class LimitError extends SpdkError {
  constructor(message: string) {
    super('limit', message);
  }
}

/** SPDK's result is not of the shape that this package knows for the method. */
export class UnexpectedResultError extends SpdkError {
  readonly method: string;
  constructor(method: string) {
    super('unexpected-result', `${method}: the result has an unexpected shape`);
    this.method = method;
  }
}

/** The object is there, but not as it was asked for, or somebody else holds what it needs. Thrown by the `ensure…` helpers. */
export class ConflictError extends SpdkError {
  constructor(message: string, options?: ErrorOptions) {
    super('conflict', message, options);
  }
}

/** The object can't be removed because it is in use. Thrown by the helpers after a listing has shown it. */
export class InUseError extends SpdkError {
  constructor(message: string, options?: ErrorOptions) {
    super('in-use', message, options);
  }
}

/** Options that SPDK would refuse, or silently take for something else. */
export class InvalidOptionsError extends SpdkError {
  constructor(message: string) {
    super('invalid-options', message);
  }
}

/** What an error answer of SPDK holds (JSON-RPC 2.0 section 5.1). */
export interface RpcErrorParts {
  readonly method: string;
  readonly rpcCode: number;
  /** SPDK's text with the request's secrets taken out. For people: never branch on it. */
  readonly peerMessage: string;
}

/**
 * SPDK answered with an error. Branch on `rpcCode`, and where a code has several meanings (vhost answers -32602 to
 * everything) on a listing; the helpers in this package do both.
 */
export class RpcError extends SpdkError {
  readonly method: string;
  readonly rpcCode: number;
  readonly peerMessage: string;
  constructor(code: string, parts: RpcErrorParts) {
    super(code, `${parts.method}: ${parts.peerMessage.trim()} (${parts.rpcCode})`);
    this.method = parts.method;
    this.rpcCode = parts.rpcCode;
    this.peerMessage = parts.peerMessage;
  }
}

/** -32700: SPDK could not parse the request (JSON-RPC 2.0 section 5.1). */
export class ParseError extends RpcError {
  constructor(parts: RpcErrorParts) {
    super('rpc-parse', parts);
  }
}

/** -32600: not a request for SPDK, for example a batch (JSON-RPC 2.0 section 5.1). */
export class InvalidRequestError extends RpcError {
  constructor(parts: RpcErrorParts) {
    super('rpc-invalid-request', parts);
  }
}

/** -32601: this application has no such method (JSON-RPC 2.0 section 5.1); `rpc_get_methods` tells what it has. */
export class MethodNotFoundError extends RpcError {
  constructor(parts: RpcErrorParts) {
    super('rpc-method-not-found', parts);
  }
}

/** -32602: wrong parameters by JSON-RPC 2.0 section 5.1; from vhost and lvol also exists, missing, busy. Confirm by a listing. */
export class InvalidParamsError extends RpcError {
  constructor(parts: RpcErrorParts) {
    super('rpc-invalid-params', parts);
  }
}

/** -32603: parameters that do not decode, and a few "exists" and "missing" (JSON-RPC 2.0 section 5.1). Confirm by a listing. */
export class InternalError extends RpcError {
  constructor(parts: RpcErrorParts) {
    super('rpc-internal', parts);
  }
}

/** -1: the method is not allowed now, before or after `framework_start_init` (include/spdk/jsonrpc.h). */
export class WrongStateError extends RpcError {
  constructor(parts: RpcErrorParts) {
    super('rpc-wrong-state', parts);
  }
}

/** Any other negative code is a negated Linux error number, for example -19 ENODEV. */
export class ErrnoError extends RpcError {
  /** Name of the number, for example `ENODEV`. */
  readonly errno: string;
  constructor(parts: RpcErrorParts) {
    super('rpc-errno', parts);
    this.errno = errnoName(parts.rpcCode);
  }
}

/** The error class for SPDK's code; a code outside the known ranges becomes a plain `RpcError` with code `rpc-other`. */
export function rpcErrorOf(parts: RpcErrorParts): RpcError {
  switch (parts.rpcCode) {
    case -32700:
      return new ParseError(parts);
    case -32600:
      return new InvalidRequestError(parts);
    case -32601:
      return new MethodNotFoundError(parts);
    case -32602:
      return new InvalidParamsError(parts);
    case -32603:
      return new InternalError(parts);
    case -1:
      return new WrongStateError(parts);
    default:
      return parts.rpcCode < 0 && parts.rpcCode > -4096 ? new ErrnoError(parts) : new RpcError('rpc-other', parts);
  }
}

/** Whether SPDK answered with this error number (`'ENODEV'`, …). */
export function isErrno(error: unknown, errno: string): error is ErrnoError {
  return error instanceof ErrnoError && error.errno === errno;
}
