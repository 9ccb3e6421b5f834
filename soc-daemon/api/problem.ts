import { DpuError, errorTable, toDpuError } from '../../core/errors.ts';
import type { Problem } from '../../schemas/generated/rest.ts';
import { HttpError } from './http-error.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** Content type of every error (RFC 9457). */
export const problemType = 'application/problem+json';

/** An error as it is answered. */
export interface ProblemReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Problem;
}

/** The reply for anything that was thrown. What is not ours becomes `internal`, and nothing of its text is shown. */
export function problemOf(thrown: unknown): ProblemReply {
  const error = fromParser(thrown) ?? toDpuError(thrown, 'the request could not be answered');
  const status = error instanceof HttpError ? error.status : errorTable[error.code].http;
  return {
    status,
    headers: error instanceof HttpError ? error.headers : {},
    body: {
      type: `urn:dpu-compute:problem:${error.code}`,
      title: STATUS_CODES[status] ?? 'Error',
      status,
      detail: error.message,
      code: error.code,
      ...(error.field === undefined ? {} : { field: error.field }),
      ...(error.details === undefined ? {} : { details: error.details }),
    },
  };
}

/** A raw HTTP/1.1 reply, for a connection that broke before there was a request. */
export function rawProblem(error: HttpError): string {
  const { status, body } = problemOf(error);
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(text)}`,
    'cache-control: no-store',
    'x-content-type-options: nosniff',
    'connection: close',
    '',
    text,
  ].join('\r\n');
}

/** Errors of express and its body parser carry a `status` and, from the parser, a `type`. */
function fromParser(thrown: unknown): HttpError | undefined {
  if (thrown instanceof DpuError || !(thrown instanceof Error) || !('status' in thrown)) return undefined;
  const status = Number(thrown.status);
  if (!(status >= 400 && status < 500)) return undefined;
  const type = 'type' in thrown ? thrown.type : undefined;
  const options = { cause: thrown };
  if (type === 'entity.too.large') {
    const headers = { connection: 'close' };
    return new HttpError(413, 'invalid', 'the body is larger than this node accepts', { ...options, headers });
  }
  if (type === 'entity.parse.failed') return new HttpError(400, 'invalid', 'the body is not JSON', options);
  if (type === 'encoding.unsupported' || type === 'charset.unsupported') {
    return new HttpError(415, 'invalid', 'the body must be plain UTF-8, not compressed', options);
  }
  return new HttpError(status, 'invalid', 'the request cannot be read', options);
}
