import { DpuError, type ErrorCode } from '../../core/errors.ts';

interface HttpErrorOptions {
  readonly field?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** What only HTTP has a status for (405, 415, 429, ...): a code of the table with a status of its own. */
export class HttpError extends DpuError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, message: string, options: HttpErrorOptions = {}) {
    super(code, message, {
      ...(options.field === undefined ? {} : { field: options.field }),
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
    this.status = status;
    this.headers = options.headers ?? {};
  }
}
