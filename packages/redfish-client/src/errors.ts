import type { RedfishMessage } from './extended-info.ts';

/** Base of every error this package throws on purpose; `code` is stable, the text is not. No text holds a secret. */
export class RedfishError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option cannot be used (`bad-option`). The text never contains the URL, which may hold a password. */
export class BadOptionError extends RedfishError {
  constructor(message: string) {
    super('bad-option', message);
  }
}

/** No connection, or one that ended before the answer (`connection`). A write may or may not have been done. */
export class ConnectionError extends RedfishError {
  /** Node's code, for example `ECONNREFUSED`. */
  readonly reason: string;
  constructor(reason: string, what: string) {
    super('connection', `${what}: ${reason}`);
    this.reason = reason;
  }
}

/** The certificate is not the pinned one, or not signed by the CA (`tls`). Nothing was sent to the peer. */
export class TlsError extends RedfishError {
  readonly reason: string;
  constructor(reason: string) {
    super('tls', `certificate refused: ${reason}`);
    this.reason = reason;
  }
}

/** No end within the deadline (`timeout`). */
export class RedfishTimeout extends RedfishError {
  constructor(message: string) {
    super('timeout', message);
  }
}

/** The client was closed by its owner (`closed`). */
export class ClosedError extends RedfishError {
  constructor() {
    super('closed', 'the client is closed');
  }
}

/**
 * An answer that is no Redfish (`protocol`), is over a limit (`too-large`), or leads to another origin (`redirect`).
 */
export class ProtocolError extends RedfishError {
  constructor(message: string, code: 'protocol' | 'too-large' | 'redirect' = 'protocol') {
    super(code, message);
  }
}

/** What is asked is not offered by this service (`unsupported`): an action, a value, a resource. */
export class UnsupportedError extends RedfishError {
  /** What the service offers instead; empty when it does not say. */
  readonly allowed: readonly string[];
  constructor(message: string, allowed: readonly string[] = []) {
    super('unsupported', allowed.length > 0 ? `${message}; allowed: ${allowed.join(', ')}` : message);
    this.allowed = allowed;
  }
}

/** Nothing, or more than one thing, fits what was looked for (`not-found`, `ambiguous`). */
export class LookupError extends RedfishError {
  constructor(code: 'not-found' | 'ambiguous', message: string) {
    super(code, message);
  }
}

const codes: Readonly<Record<number, string>> = {
  400: 'bad-request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  405: 'method-not-allowed',
  409: 'conflict',
  410: 'not-found',
  412: 'precondition-failed',
  428: 'precondition-required',
  429: 'unavailable',
  501: 'unsupported',
  503: 'unavailable',
};

/** The service answered with an error status (DSP0266 "Error responses"); `messages` is its `@Message.ExtendedInfo`. */
export class HttpError extends RedfishError {
  readonly status: number;
  readonly method: string;
  readonly path: string;
  readonly messages: readonly RedfishMessage[];
  /** Seconds the service asked to wait, when it did. */
  readonly retryAfterSec: number | undefined;
  constructor(
    method: string,
    path: string,
    status: number,
    messages: readonly RedfishMessage[],
    retryAfterSec?: number | undefined,
  ) {
    const first = messages[0];
    const detail = first === undefined ? '' : `: ${first.messageId || first.message}`;
    super(codes[status] ?? 'http', `${method} ${path} answered ${status}${detail}`);
    this.status = status;
    this.method = method;
    this.path = path;
    this.messages = messages;
    this.retryAfterSec = retryAfterSec;
  }

  /** Whether a message with this name was sent; registry prefix and version do not matter (`Base.1.8.Name`). */
  has(messageName: string): boolean {
    return this.messages.some((message) => message.messageId.split('.').at(-1) === messageName);
  }
}

/** A task ended badly (`task-failed`) or cannot be followed to its end (`task-lost`). */
export class TaskError extends RedfishError {
  /** The task's last TaskState, where known. */
  readonly state: string;
  readonly messages: readonly RedfishMessage[];
  constructor(code: 'task-failed' | 'task-lost', state: string, messages: readonly RedfishMessage[] = []) {
    super(code, `task ended as ${state || 'unknown'}${messages[0] ? `: ${messages[0].messageId}` : ''}`);
    this.state = state;
    this.messages = messages;
  }
}
