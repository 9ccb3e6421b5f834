/** Base of every error this package throws on purpose; `code` is stable, the text is not. */
export class OvsdbError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An address is not `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`. */
export class BadAddressError extends OvsdbError {
  constructor(message: string) {
    super('bad-address', message);
  }
}

/** A value, table or column does not fit the schema, or a message is too long to send; nothing was sent. */
export class EncodeError extends OvsdbError {
  constructor(message: string, options?: ErrorOptions) {
    super('encode', message, options);
  }
}

/** The peer sent what is not OVSDB (RFC 7047 3, 4); the connection is given up. */
export class ProtocolError extends OvsdbError {
  constructor(message: string, options?: ErrorOptions) {
    super('protocol', message, options);
  }
}

/** The connection went away before the answer came; the request may or may not have been carried out. */
export class ConnectionLostError extends OvsdbError {
  constructor(message = 'connection to the server lost', options?: ErrorOptions) {
    super('connection-lost', message, options);
  }
}

/** No connection or no answer before the deadline; a `transact` that was sent is cancelled (RFC 7047 4.1.4). */
export class DeadlineError extends OvsdbError {
  constructor(message: string) {
    super('deadline', message);
  }
}

/** The client, cache or lock was closed by its owner. */
export class ClosedError extends OvsdbError {
  constructor(message = 'closed') {
    super('closed', message);
  }
}

/** More requests wait for their turn than the client was told to hold. */
export class OverloadError extends OvsdbError {
  constructor(message: string) {
    super('overload', message);
  }
}

/** `find` or `first` of a cache was asked for an index that was not declared. */
export class NoIndexError extends OvsdbError {
  constructor(message: string) {
    super('no-index', message);
  }
}

/** A read-modify-write lost against other writers as often as it was allowed to try. */
export class ConflictError extends OvsdbError {
  /** How often it was tried. */
  readonly attempts: number;
  constructor(attempts: number, options?: ErrorOptions) {
    super('conflict', `the rows changed under each of ${attempts} attempts`, options);
    this.attempts = attempts;
  }
}

/** What the server says of an error (RFC 7047 3.1 `<error>`). */
export type PeerError = {
  /** The error's name, for example `constraint violation`. */
  readonly error: string;
  readonly details?: string;
  /** The JSON that the server could not understand (an extension of ovsdb-server). */
  readonly syntax?: string;
};

/** The server refused a whole request (RFC 7047 4: `error` of the response). */
export class RequestError extends OvsdbError {
  /** The server's name of the error, for example `unknown database` or `unknown method`. */
  readonly peerCode: string;
  readonly details: string | undefined;
  readonly syntax: string | undefined;
  constructor(method: string, peer: PeerError) {
    super('request', `${method}: ${peer.error}${peer.details === undefined ? '' : `: ${peer.details}`}`);
    this.peerCode = peer.error;
    this.details = peer.details;
    this.syntax = peer.syntax;
  }
}

/** An operation failed, so nothing of its transaction was done (RFC 7047 4.1.3, 5.2). */
export class OperationError extends OvsdbError {
  /** The server's name of the error, for example `timed out`, `constraint violation`, `not owner`. */
  readonly peerCode: string;
  readonly details: string | undefined;
  readonly syntax: string | undefined;
  /** Position of the operation that failed, from 0; equal to the number of operations when the commit itself failed. */
  readonly index: number;
  /** Name of the operation that failed, `commit` when the commit itself did. */
  readonly operation: string;
  constructor(index: number, operation: string, peer: PeerError) {
    super(
      'operation',
      `operation ${index} (${operation}): ${peer.error}${peer.details === undefined ? '' : `: ${peer.details}`}`,
    );
    this.peerCode = peer.error;
    this.details = peer.details;
    this.syntax = peer.syntax;
    this.index = index;
    this.operation = operation;
  }
}
