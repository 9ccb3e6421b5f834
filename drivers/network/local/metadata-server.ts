import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import type { Log } from '../../../core/ports/log.ts';
import { answerMetadata, type InstanceMetadata } from '../../../kit/instance-metadata.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { createServer } = process.getBuiltinModule('node:http');

/** Metadata of the instance that has an address, which asks for a path; null for an address that none has. */
export type MetadataOf = (address: string, path: string) => Promise<InstanceMetadata | null>;

/** Answers metadata on a socket that listens already; the answer ends it. Who asks is told by the address it asks from. */
export function serveMetadata(socket: Server, metadataOf: MetadataOf, log: Log): () => void {
  const http = createServer(
    { requestTimeout: 10_000, headersTimeout: 10_000, maxHeaderSize: 8192 },
    (request, response) => {
      answer(request, response, metadataOf).catch((error: unknown) => {
        log.error('metadata could not be answered', { error });
        finish(response, 500, 'Internal Server Error\n');
      });
    },
  );
  http.maxRequestsPerSocket = 100;
  const take = (connection: unknown): void => void http.emit('connection', connection);
  socket.on('connection', take);
  return () => {
    socket.off('connection', take);
    socket.close();
    http.closeAllConnections();
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, metadataOf: MetadataOf): Promise<void> {
  // a request that came through a proxy of the instance's is not the instance's own
  if (request.headers['x-forwarded-for'] !== undefined) return finish(response, 403, 'Forbidden\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return finish(response, 405, 'Method Not Allowed\n');
  const address = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const { status, type, body } = answerMetadata(path, await metadataOf(address, path));
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function finish(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': text.length });
  response.end(text);
}
