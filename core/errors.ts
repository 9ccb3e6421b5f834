/** The one table of errors: the REST status, the RPC class and who may try again all derive from the code. */

import type { JsonObject } from './units.ts';

/** Who may try again: nobody, we ourselves with back-off, or an operator once something was mended. */
export type RetryAdvice = 'never' | 'backoff' | 'operator';

interface ErrorRow {
  /** HTTP status of the problem document (RFC 9457). */
  readonly http: number;
  /** Class of the RPC failure, in module `dpu_compute.errors`. */
  readonly amqpClass: string;
  readonly retry: RetryAdvice;
}

/** Every code there is. A code is stable: platforms and scripts branch on it. */
export const errorTable = {
  invalid: { http: 400, amqpClass: 'Invalid', retry: 'never' },
  not_found: { http: 404, amqpClass: 'NotFound', retry: 'never' },
  conflict: { http: 409, amqpClass: 'Conflict', retry: 'never' },
  busy: { http: 409, amqpClass: 'Busy', retry: 'backoff' },
  exhausted: { http: 507, amqpClass: 'Exhausted', retry: 'operator' },
  unsupported: { http: 501, amqpClass: 'Unsupported', retry: 'never' },
  bad_state: { http: 409, amqpClass: 'BadState', retry: 'never' },
  unavailable: { http: 503, amqpClass: 'Unavailable', retry: 'backoff' },
  timeout: { http: 504, amqpClass: 'Timeout', retry: 'backoff' },
  denied: { http: 403, amqpClass: 'Denied', retry: 'operator' },
  hardware: { http: 502, amqpClass: 'Hardware', retry: 'operator' },
  internal: { http: 500, amqpClass: 'Internal', retry: 'operator' },
} as const satisfies Record<string, ErrorRow>;

/** A code of the table. */
export type ErrorCode = keyof typeof errorTable;

/** Module that RPC failures are said to come from. */
export const amqpErrorModule = 'dpu_compute.errors';

interface DpuErrorOptions {
  /** The argument or setting that is wrong, as a path: `networks[0].mac`. */
  readonly field?: string;
  /** Facts for programs; never a secret. */
  readonly details?: JsonObject;
  /** The lower error; its text is not repeated in ours. */
  readonly cause?: unknown;
}

/** An error with a code of the table. Its message says what we were doing; the lower error is the `cause`. */
export class DpuError extends Error {
  override readonly name = 'DpuError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly details: JsonObject | undefined;

  constructor(code: ErrorCode, message: string, options: DpuErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.details = options.details;
  }

  /** Who may try again. */
  get retry(): RetryAdvice {
    return errorTable[this.code].retry;
  }
}

/** Whether an error is ours and carries the code. */
export function hasCode(error: unknown, code: ErrorCode): error is DpuError {
  return error instanceof DpuError && error.code === code;
}

/** Makes any thrown value a DpuError: ours stay as they are, everything else is `internal` with the value as its cause. */
export function toDpuError(error: unknown, doing: string): DpuError {
  return error instanceof DpuError ? error : new DpuError('internal', doing, { cause: error });
}

/** What an operation, a step or a problem document keeps of an error: no stack, no cause. */
export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field?: string;
  readonly step?: string;
  readonly retry: RetryAdvice;
}

/** The error that a record tells of; its cause is not kept. */
export function errorOf({ code, message, field }: ErrorRecord): DpuError {
  return new DpuError(code, message, field === undefined ? {} : { field });
}

/** The storable form of an error. */
export function errorRecord(error: DpuError, step?: string): ErrorRecord {
  return {
    code: error.code,
    message: error.message,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...(step === undefined ? {} : { step }),
    retry: error.retry,
  };
}
