import { ProtocolError } from './errors.ts';

/** A response object (JSON-RPC 2.0 section 5). */
export interface Response {
  readonly id: number | string | null;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

/**
 * Reads a document as a response.
 * @throws ProtocolError when it is none: the stream can't be trusted any more
 */
export function readResponse(value: unknown): Response {
  if (!isRecord(value)) throw new ProtocolError('not a response object');
  const { id, result, error } = value;
  if (typeof id !== 'number' && typeof id !== 'string' && id !== null)
    throw new ProtocolError('a response without an id');
  if (error === undefined) {
    if (!('result' in value)) throw new ProtocolError('a response with neither result nor error');
    return { id, result };
  }
  if (!isRecord(error) || typeof error.code !== 'number' || typeof error.message !== 'string') {
    throw new ProtocolError('an error that is not an error object');
  }
  return { id, error: { code: error.code, message: error.message } };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
