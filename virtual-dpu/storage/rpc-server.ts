import { createServer, type Server, type Socket } from 'node:net';
import { createFramer } from '../../kit/json-rpc/framer.ts';
import { isRecord } from './params.ts';
import { RPC, RpcError } from './rpc-error.ts';

/** Carries a request out. What it throws other than RpcError is an internal error. */
export type Handle = (method: string, params: unknown) => Promise<unknown>;

const MEMBERS: ReadonlySet<string> = new Set(['jsonrpc', 'method', 'params', 'id']);

/** Largest request: SPDK's receive buffer (lib/jsonrpc/jsonrpc_internal.h). */
const MAX_BYTES = 32 * 1024 * 1024;

/** Requests of one connection that are under way; more are read when there is room. */
const MAX_OPEN = 1024;

/**
 * Serves JSON-RPC as SPDK v24.01 does (lib/jsonrpc/jsonrpc_server.c): no batches; an answer to a request without an id, which lacks
 * its last brace; a document that is no JSON ends the connection without an answer.
 */
export function serveRpc(path: string, handle: Handle, unexpected: (error: unknown) => void): Promise<Server> {
  const server = createServer((socket) => serve(socket, handle, unexpected));
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  server.once('error', reject);
  server.listen(path, () => resolve(server));
  return promise;
}

function serve(socket: Socket, handle: Handle, unexpected: (error: unknown) => void): void {
  const framer = createFramer({ maxBytes: MAX_BYTES });
  let open = 0;
  socket.on('error', () => socket.destroy()); // the client went away: it asked for nothing else
  socket.on('data', (chunk) => {
    try {
      for (const text of framer.push(chunk)) {
        const document: unknown = JSON.parse(text);
        open += 1;
        if (open === MAX_OPEN) socket.pause();
        void answer(document, handle, unexpected).then((reply) => {
          open -= 1;
          if (open === MAX_OPEN - 1) socket.resume();
          if (!socket.destroyed) socket.write(reply);
        });
      }
    } catch {
      socket.destroy(); // no way to find the next document: SPDK closes too
    }
  });
}

async function answer(document: unknown, handle: Handle, unexpected: (error: unknown) => void): Promise<string> {
  const request = parse(document);
  if (request === undefined) return failure(null, new RpcError(RPC.invalidRequest, 'Invalid request'));
  const id = request.id ?? null;
  try {
    const whole = JSON.stringify({ jsonrpc: '2.0', id, result: await handle(request.method, request.params) });
    return id === null ? whole.slice(0, -1) : `${whole}\n`;
  } catch (error) {
    if (error instanceof RpcError) return failure(id, error);
    unexpected(error);
    return failure(id, new RpcError(RPC.internal, 'Internal error'));
  }
}

function failure(id: unknown, { code, message }: RpcError): string {
  return `${JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } })}\n`;
}

interface Request {
  readonly method: string;
  readonly params: unknown;
  readonly id: unknown;
}

function parse(document: unknown): Request | undefined {
  if (!isRecord(document)) return undefined;
  for (const name of Object.keys(document)) if (!MEMBERS.has(name)) return undefined;
  const { jsonrpc, method, params, id } = document;
  if (jsonrpc !== undefined && jsonrpc !== '2.0') return undefined;
  if (typeof method !== 'string') return undefined;
  if (id !== undefined && id !== null && typeof id !== 'string' && typeof id !== 'number') return undefined;
  if (params !== undefined && typeof params !== 'object') return undefined;
  return { method, params: params ?? undefined, id };
}
