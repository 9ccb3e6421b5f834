import { completionName, completionText } from './completion-codes.ts';
import { rmcpStatusName, rmcpStatusText } from './rmcp-status.ts';

/** Base of every error this package throws on purpose; `code` is stable, the text is not. No text holds a password or key. */
export class IpmiError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** No answer in time; `code` is `timeout`. The command may or may not have been carried out. */
export class IpmiTimeoutError extends IpmiError {
  constructor(message: string, options?: ErrorOptions) {
    super('timeout', message, options);
  }
}

/** The network says that nobody listens there, or the name has no address; `code` is `unreachable`. */
export class IpmiUnreachableError extends IpmiError {
  constructor(message: string, options?: ErrorOptions) {
    super('unreachable', message, options);
  }
}

/**
 * The two sides do not share a secret or a right. `wrong-password`: the BMC's RAKP 2 does not match our password.
 * `wrong-bmc-key`: RAKP 4 does not match K_G. `unauthorized-name`, `unauthorized-role`, `refused-proof`: the BMC says so (13.24).
 */
export class IpmiAuthError extends IpmiError {
  /** The BMC's RMCP+ status code, when it was the BMC that refused. */
  readonly status: number | undefined;
  constructor(
    code: 'wrong-password' | 'wrong-bmc-key' | 'unauthorized-name' | 'unauthorized-role' | 'refused-proof',
    message: string,
    status?: number,
  ) {
    super(code, message);
    this.status = status;
  }
}

/** `no-cipher-suite`: the BMC takes none that we allow. `bad-cipher-suite`: we were asked for one that is not safe, or it swapped ours. */
export class IpmiCipherError extends IpmiError {
  readonly status: number | undefined;
  constructor(code: 'no-cipher-suite' | 'bad-cipher-suite', message: string, status?: number) {
    super(code, message);
    this.status = status;
  }
}

/** The BMC refused the session with an RMCP+ status code (IPMI 2.0 table 13-15); `code` is its name, as `no-free-session`. */
export class IpmiSessionError extends IpmiError {
  readonly status: number;
  constructor(status: number, step: string) {
    super(
      rmcpStatusName(status),
      `${step}: ${rmcpStatusText(status)} (status 0x${status.toString(16).padStart(2, '0')})`,
    );
    this.status = status;
  }
}

/** The BMC does not speak IPMI 2.0 RMCP+ on this channel; `code` is `not-supported`. */
export class IpmiNotSupportedError extends IpmiError {
  constructor(message: string) {
    super('not-supported', message);
  }
}

/** The BMC answered with a completion code that is not 00h (IPMI 2.0 table 5-2); `code` is its name, as `invalid-command`. */
export class IpmiCompletionError extends IpmiError {
  readonly completionCode: number;
  readonly netFn: number;
  readonly command: number;
  constructor(completionCode: number, netFn: number, command: number) {
    const hex = (value: number) => `0x${value.toString(16).padStart(2, '0')}`;
    super(
      completionName(completionCode, netFn, command),
      `netFn ${hex(netFn)} command ${hex(command)}: ${completionText(completionCode, netFn, command)} (${hex(completionCode)})`,
    );
    this.completionCode = completionCode;
    this.netFn = netFn;
    this.command = command;
  }
}

/** The session ended under a request; `code` is `session-lost`. When `sent`, the command may or may not have been carried out. */
export class IpmiSessionLostError extends IpmiError {
  /** Whether the command had gone out. */
  readonly sent: boolean;
  constructor(message: string, sent: boolean) {
    super('session-lost', message);
    this.sent = sent;
  }
}

/** The client, session or stream was closed by its owner; `code` is `closed`. */
export class IpmiClosedError extends IpmiError {
  constructor(message = 'closed') {
    super('closed', message);
  }
}

/**
 * A serial-over-LAN stream cannot begin or go on: `sol-active` when this session has one already, `sol-deactivated` when the BMC
 * ended it, for example because another console took over (IPMI 2.0 15.9), `sol-no-ack` when it no longer acknowledges.
 */
export class IpmiSolError extends IpmiError {
  constructor(code: 'sol-active' | 'sol-deactivated' | 'sol-no-ack', message: string) {
    super(code, message);
  }
}

/** Too many requests wait already; `code` is `too-many-requests`. */
export class IpmiBusyError extends IpmiError {
  constructor(limit: number) {
    super('too-many-requests', `${limit} requests wait already`);
  }
}

/** An answer or record that does not have the standard's form; `code` is `malformed`. */
export class IpmiFormatError extends IpmiError {
  constructor(message: string, options?: ErrorOptions) {
    super('malformed', message, options);
  }
}

/** A value that the caller gave cannot be sent; `code` is `bad-argument`. */
export class IpmiArgumentError extends IpmiError {
  constructor(message: string) {
    super('bad-argument', message);
  }
}
