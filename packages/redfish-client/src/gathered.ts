import { HttpError, RedfishError } from './errors.ts';

/** One resource that could not be read while the rest was. */
export type Problem = {
  readonly path: string;
  /** Code of the RedfishError. */
  readonly code: string;
  /** Status of the answer, when there was one. */
  readonly status: number | undefined;
  readonly error: RedfishError;
};

/** What was found, and what could not be looked at. An empty `problems` means that `items` is everything. */
export type Gathered<T> = {
  readonly items: readonly T[];
  readonly problems: readonly Problem[];
};

/**
 * An error as a problem of `path`.
 * @throws the error itself when it ends the whole call: the caller's abort, the client's end, or a login or certificate that is refused. A deadline
 * that passed is a problem: what was found before it is still told.
 */
export function problemOf(path: string, error: unknown): Problem {
  if (!(error instanceof RedfishError) || ['closed', 'tls', 'unauthorized'].includes(error.code)) throw error;
  return { path, code: error.code, status: error instanceof HttpError ? error.status : undefined, error };
}
