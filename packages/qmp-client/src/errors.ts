/** Base of every error this package throws on purpose; `code` is stable, the text is not. */
export class QmpError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The session ended while the command was under way: QEMU may or may not have carried it out. */
export class ConnectionLostError extends QmpError {
  constructor(message = 'the QMP session ended', options?: ErrorOptions) {
    super('connection-lost', message, options);
  }
}

/** No greeting, answer or event before the deadline. A command that was sent may still be carried out. */
export class QmpTimeoutError extends QmpError {
  constructor(what: string, timeoutMs: number) {
    super('timeout', `${what}: nothing came in ${timeoutMs} ms`);
  }
}

/** The client was closed by its owner. */
export class ClosedError extends QmpError {
  constructor(message = 'the client is closed') {
    super('closed', message);
  }
}

/** The peer sent what is not QMP, or a message over the limit. The session was ended. */
export class ProtocolError extends QmpError {
  constructor(message: string) {
    super('protocol', message);
  }
}

/** A limit of this client was reached before anything was sent. */
export class LimitError extends QmpError {
  constructor(message: string) {
    super('limit', message);
  }
}

/** Out-of-band execution was not offered by the peer, or not asked for. */
export class OobUnavailableError extends QmpError {
  constructor() {
    super('oob-unavailable', 'out-of-band execution was not negotiated');
  }
}

/** An event iterator with `overflow: 'fail'` was read too slowly. */
export class EventsLostError extends QmpError {
  constructor(limit: number) {
    super('events-lost', `more than ${limit} events were waiting to be read`);
  }
}

/** The guest refused to let go of the device (QAPI DEVICE_UNPLUG_GUEST_ERROR). It stays plugged. */
export class UnplugRefusedError extends QmpError {
  readonly device: string;
  constructor(device: string) {
    super('unplug-refused', `the guest refused to unplug ${device}`);
    this.device = device;
  }
}

/**
 * The device was asked for, but the guest has not let go of it before the deadline. The request stays pending in QEMU and
 * can't be taken back: the device may go at any time, or at the next reset. Leave its back end in place.
 */
export class UnplugPendingError extends QmpError {
  readonly device: string;
  constructor(device: string, timeoutMs: number, options?: ErrorOptions) {
    super('unplug-pending', `${device} is still there after ${timeoutMs} ms`, options);
    this.device = device;
  }
}

/** What an error answer holds (qmp-spec 2.4.2, "error"). */
export interface CommandErrorParts {
  readonly command: string;
  /** QAPI's QapiErrorClass. */
  readonly errorClass: string;
  /** QEMU's text with the command's secrets taken out. For people: never branch on it. */
  readonly desc: string;
}

/** QEMU answered with an error. Branch on the class; of GenericError, which is nearly all, find out the cause by a query. */
export class CommandError extends QmpError {
  readonly command: string;
  readonly errorClass: string;
  readonly desc: string;
  constructor(code: string, parts: CommandErrorParts) {
    super(code, `${parts.command}: ${parts.desc} (${parts.errorClass})`);
    this.command = parts.command;
    this.errorClass = parts.errorClass;
    this.desc = parts.desc;
  }
}

/** Class GenericError (QAPI qapi/error.json): anything that has no class of its own. */
export class GenericError extends CommandError {
  constructor(parts: CommandErrorParts) {
    super('generic-error', parts);
  }
}

/** Class CommandNotFound (QAPI qapi/error.json): this peer has no such command. */
export class CommandNotFoundError extends CommandError {
  constructor(parts: CommandErrorParts) {
    super('command-not-found', parts);
  }
}

/** Class DeviceNotFound (QAPI qapi/error.json). */
export class DeviceNotFoundError extends CommandError {
  constructor(parts: CommandErrorParts) {
    super('device-not-found', parts);
  }
}

/** Class DeviceNotActive (QAPI qapi/error.json): for example a block job that does not run. */
export class DeviceNotActiveError extends CommandError {
  constructor(parts: CommandErrorParts) {
    super('device-not-active', parts);
  }
}

/** Class KVMMissingCap (QAPI qapi/error.json). */
export class KvmMissingCapError extends CommandError {
  constructor(parts: CommandErrorParts) {
    super('kvm-missing-cap', parts);
  }
}

/** The error for QEMU's class; a class that QAPI does not know yet becomes a plain CommandError with code `other-class`. */
export function commandErrorOf(parts: CommandErrorParts): CommandError {
  switch (parts.errorClass) {
    case 'GenericError':
      return new GenericError(parts);
    case 'CommandNotFound':
      return new CommandNotFoundError(parts);
    case 'DeviceNotFound':
      return new DeviceNotFoundError(parts);
    case 'DeviceNotActive':
      return new DeviceNotActiveError(parts);
    case 'KVMMissingCap':
      return new KvmMissingCapError(parts);
    default:
      return new CommandError('other-class', parts);
  }
}
