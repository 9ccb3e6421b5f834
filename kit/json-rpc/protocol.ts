/** What both ends of a JSON-RPC 2.0 connection agree on. */

import type { Json, JsonObject } from '../../core/units.ts';

/** Codes of the specification (JSON-RPC 2.0, 5.1). */
export const rpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
} as const;

/** Notification by which a client takes a request back that it no longer waits for: `{id}`. As in the Language Server Protocol. */
export const cancelMethod = '$/cancelRequest';

/** The `error` of an answer. */
export interface RpcErrorObject {
  readonly code: number;
  readonly message: string;
  readonly data?: JsonObject;
}

/** An answer with an error, as the other end gave it. */
export class JsonRpcError extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.name = 'JsonRpcError';
    this.code = code;
    this.data = data;
  }
}

/** Id of a request; the specification's null is not taken. */
export type RpcId = string | number;

/** A request or, without an id, a notification. */
export interface RpcRequest {
  readonly id?: RpcId;
  readonly method: string;
  readonly params: unknown;
}

/** Reads a request; null for what is none (a batch too: there is no use for one on a stream). */
export function asRequest(value: unknown): RpcRequest | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { jsonrpc, id, method, params } = value as Record<string, unknown>;
  if (jsonrpc !== '2.0' || typeof method !== 'string') return null;
  if (params !== undefined && (typeof params !== 'object' || params === null)) return null;
  if (id === undefined) return { method, params: params ?? {} };
  if (typeof id !== 'string' && typeof id !== 'number') return null;
  return { id, method, params: params ?? {} };
}

/** The id that a broken request bears, for the answer; null where it has none. */
export function idOf(value: unknown): RpcId | null {
  if (typeof value !== 'object' || value === null || !('id' in value)) return null;
  return typeof value.id === 'string' || typeof value.id === 'number' ? value.id : null;
}

/** The document of a message, with a line's end that people's tools like. */
export function documentOf(message: { readonly [key: string]: Json | undefined }): string {
  return `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`;
}
