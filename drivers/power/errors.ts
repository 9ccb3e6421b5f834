import {
  IpmiAuthError,
  IpmiBusyError,
  IpmiCompletionError,
  IpmiError,
  IpmiSessionError,
  IpmiSessionLostError,
  IpmiTimeoutError,
  IpmiUnreachableError,
} from 'node-ipmi';
import { HttpError, RedfishError } from 'redfish-client';
import { DpuError, type ErrorCode } from '../../core/errors.ts';

/** HTTP statuses that say something other than `hardware` (DSP0266 "Status codes"). */
const STATUS_CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'denied',
  403: 'denied',
  404: 'unsupported',
  405: 'unsupported',
  409: 'bad_state',
  412: 'busy',
  429: 'unavailable',
  500: 'unavailable',
  501: 'unsupported',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};

const REDFISH_CODES: Readonly<Record<string, ErrorCode>> = {
  connection: 'unavailable',
  timeout: 'unavailable',
  tls: 'denied',
  unsupported: 'unsupported',
};

/** Completion codes by their names (IPMI 2.0 table 5-2). */
const COMPLETION_CODES: Readonly<Record<string, ErrorCode>> = {
  'invalid-command': 'unsupported',
  'invalid-data-field': 'unsupported',
  'insufficient-privilege': 'denied',
  'privilege-exceeds-limit': 'denied',
  'privilege-not-available': 'denied',
  'not-supported-in-state': 'bad_state',
  'sub-function-disabled': 'unsupported',
  'payload-active-elsewhere': 'busy',
  'payload-limit-reached': 'busy',
  'payload-disabled': 'unsupported',
  'set-in-progress': 'busy',
  'fru-busy': 'busy',
  'node-busy': 'unavailable',
  'processing-timeout': 'unavailable',
  'bmc-initializing': 'unavailable',
  'firmware-update-mode': 'unavailable',
};

/** Does one exchange with a BMC. What it rejects with becomes a DpuError, but for the reason of the caller's signal. */
export async function exchange<Result>(
  doing: string,
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  signal?.throwIfAborted();
  try {
    return await work();
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    if (cause instanceof DpuError) throw cause;
    throw new DpuError(codeOf(cause), `${doing} failed`, { cause });
  }
}

/** The code of an error of redfish-client or node-ipmi. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof HttpError) return STATUS_CODES[error.status] ?? 'hardware';
  if (error instanceof RedfishError) return REDFISH_CODES[error.code] ?? 'hardware';
  if (error instanceof IpmiAuthError) return 'denied';
  if (error instanceof IpmiCompletionError) return COMPLETION_CODES[error.code] ?? 'hardware';
  const silent =
    error instanceof IpmiTimeoutError ||
    error instanceof IpmiUnreachableError ||
    error instanceof IpmiSessionLostError ||
    error instanceof IpmiSessionError ||
    error instanceof IpmiBusyError;
  if (silent) return 'unavailable';
  return error instanceof IpmiError ? 'unsupported' : 'internal';
}
