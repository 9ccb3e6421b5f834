/** Base of every error this package throws on purpose; `code` is stable, the text is not. */
export class MessagingError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The transport URL cannot be used. The text never contains the URL, which holds a password. */
export class BadTransportUrlError extends MessagingError {
  constructor(message: string) {
    super('bad-transport-url', message);
  }
}

/** No queue took a message that was sent `mandatory` (AMQP basic.return 312). */
export class UnroutableError extends MessagingError {
  readonly exchange: string;
  readonly routingKey: string;
  constructor(exchange: string, routingKey: string) {
    super('unroutable', `no queue for routing key "${routingKey}" of exchange "${exchange}"`);
    this.exchange = exchange;
    this.routingKey = routingKey;
  }
}

/** The connection or channel went away before the broker confirmed; the message may or may not have arrived. */
export class ConnectionLostError extends MessagingError {
  constructor(message = 'connection to the broker lost', options?: ErrorOptions) {
    super('connection-lost', message, options);
  }
}

/** The broker refused a message (basic.nack). */
export class RefusedError extends MessagingError {
  constructor(message = 'the broker refused the message') {
    super('refused', message);
  }
}

/**
 * An exchange or queue is there already with other flags, so the broker refused to declare it (AMQP 0-9-1 reply code 406,
 * PRECONDITION_FAILED). The broker's text, which names it and the first flag that differs, is the message.
 */
export class FlagsMismatchError extends MessagingError {
  readonly replyCode = 406;
  constructor(message: string, options?: ErrorOptions) {
    super('flags-mismatch', message, options);
  }
}

/** The version asked for is not within the client's `versionCap` (oslo.messaging's RPCVersionCapError). */
export class VersionCapError extends MessagingError {
  readonly version: string;
  readonly versionCap: string;
  constructor(version: string, versionCap: string) {
    super('version-cap', `version ${version} is not within the cap ${versionCap}`);
    this.version = version;
    this.versionCap = versionCap;
  }
}

/** No answer, confirm or connection in time. */
export class MessagingTimeout extends MessagingError {
  constructor(message: string) {
    super('timeout', message);
  }
}

/** The transport, client or server was closed by its owner. */
export class ClosedError extends MessagingError {
  constructor(message = 'closed') {
    super('closed', message);
  }
}

/** A value cannot be written as JSON, or is too deep or too long. */
export class EncodeError extends MessagingError {
  constructor(message: string, options?: ErrorOptions) {
    super('encode', message, options);
  }
}

/** What the other side raised while it executed our call. */
export class RemoteError extends MessagingError {
  /** Class name of the exception, for example `InstanceNotFound`. */
  readonly rpcClass: string;
  /** Python module of the class, for example `nova.exception`. */
  readonly rpcModule: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  constructor(rpcClass: string, rpcModule: string, message: string, kwargs: Readonly<Record<string, unknown>>) {
    super('remote', message);
    this.rpcClass = rpcClass;
    this.rpcModule = rpcModule;
    this.kwargs = kwargs;
  }
}

/** The error itself, or a FlagsMismatchError when it tells of the broker's reply code 406. */
export function explainRefusal(error: unknown): unknown {
  if (error instanceof MessagingError || !(error instanceof Error)) return error;
  if ((error as { readonly code?: unknown }).code !== 406) return error;
  return new FlagsMismatchError(error.message, { cause: error });
}
