import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { JsonFramer } from '../src/framer.ts';
import type { Exchange, RawExchange } from './recordings.ts';

/** How an answer is cut on its way. */
export type Cut = 'whole' | 'bytes' | 'together';

/** A server that answers as SPDK did. */
export interface ReplayServer {
  readonly path: string;
  /** Requests that no exchange of the recording answers. A test ends with none. */
  readonly unknown: readonly unknown[];
  /** The methods that were asked for. */
  readonly requests: readonly string[];
  /** Sockets that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  close(): Promise<void>;
}

/**
 * Serves a recording on a socket of its own: a request is answered by the first exchange with its method and parameters that
 * was not used yet, else by the last that was.
 */
export async function startReplay(recorded: readonly Exchange[], cut: Cut = 'whole'): Promise<ReplayServer> {
  const unknown: unknown[] = [];
  const requests: string[] = [];
  const used = new Set<Exchange>();
  const answer = (document: unknown): string => {
    const request = document as Exchange['request'];
    requests.push(request.method);
    const fitting = recorded.filter(
      ({ request: each }) => each.method === request.method && isDeepStrictEqual(each.params, request.params),
    );
    const exchange = fitting.find((each) => !used.has(each)) ?? fitting.at(-1);
    if (exchange === undefined) {
      unknown.push(request);
      return '';
    }
    used.add(exchange);
    return `${JSON.stringify({ ...exchange.response, id: request.id })}\n`;
  };
  const server = await listen((socket) => {
    const framer = new JsonFramer();
    let out = '';
    socket.on('data', (chunk) => {
      for (const document of framer.push(chunk)) out += answer(document);
      if (out === '') return;
      if (cut === 'bytes') for (const byte of Buffer.from(out)) socket.write(Buffer.of(byte));
      else if (cut === 'whole') socket.write(out);
      else {
        const late = out;
        setImmediate(() => socket.write(late));
      }
      out = '';
    });
  });
  return { ...server, unknown, requests };
}

/** Serves the framing cases: exactly these bytes are answered by exactly those. */
export async function startRawReplay(recorded: readonly RawExchange[]): Promise<ReplayServer> {
  const server = await listen((socket) => {
    let bytes = '';
    socket.on('data', (chunk) => {
      bytes += chunk.toString('utf8');
      // the two halves of one request may reach us in one read
      const halves = recorded.filter((each) => each.response_raw === null).map((each) => each.request_raw);
      const exchange = recorded.find(
        (each) => each.request_raw === bytes || halves.some((half) => half + each.request_raw === bytes),
      );
      if (exchange === undefined) return;
      bytes = '';
      if (exchange.response_raw === '<EOF>') socket.end();
      else if (exchange.response_raw !== null) socket.write(exchange.response_raw);
    });
  });
  return { ...server, unknown: [], requests: [] };
}

/** A server on a socket in a temporary folder, or on `at`. */
export async function listen(
  handle: (socket: Socket) => void,
  at?: string,
): Promise<Omit<ReplayServer, 'unknown' | 'requests'>> {
  const dir = at === undefined ? await mkdtemp(path.join(tmpdir(), 'spdk-')) : undefined;
  const file = at ?? path.join(dir ?? '', 'spdk.sock');
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(file, resolve);
  });
  return {
    path: file,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      if (dir !== undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}
