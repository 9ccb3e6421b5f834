import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Clock } from '../../../core/ports/clock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { systemClock } from '../../../kit/clock.ts';
import { createHttpClient, type HttpClient } from '../../../platform-adapter/openstack/rest/http.ts';
import type { Caller } from '../../../platform-adapter/openstack/rest/keystone.ts';
import { createServiceClient } from '../../../platform-adapter/openstack/rest/service-client.ts';

/** A request as a service of a test saw it. */
export interface Seen {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: Json;
  /** Number of the connection that it came by. */
  readonly connection: number;
}

/** What a service of a test does: an answer, or a fault. */
export type Answer =
  | {
      readonly status: number;
      readonly json?: Json;
      readonly text?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The connection breaks. */
  | 'reset'
  /** Never answers. */
  | 'hang'
  /** Headers, a few bytes, and then the connection breaks. */
  | 'break-off'
  /** Sends for ever. */
  | 'endless'
  /** Headers, a few bytes, and then nothing. */
  | 'stall';

/** A service on loopback. */
export interface TestService {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** What it does from now on. */
  answer: (request: Seen) => Answer;
  /** Answers of the next requests, before `answer` is asked. */
  readonly next: Answer[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts one that answers 404 until it is told otherwise. */
export async function startService(answer: (request: Seen) => Answer = () => ({ status: 404 })): Promise<TestService> {
  const seen: Seen[] = [];
  const next: Answer[] = [];
  const connections = new Map<unknown, number>();
  const server = createServer((incoming, outgoing) => {
    void serve(incoming, outgoing);
  });
  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { socket } = incoming;
    if (!connections.has(socket)) connections.set(socket, connections.size + 1);
    // a client that breaks off while it sends is what some tests are about
    const body = await text(incoming).catch(() => '');
    const request: Seen = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      url: new URL(incoming.url ?? '', service.url),
      headers: Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
      json: body.startsWith('{') || body.startsWith('[') ? (JSON.parse(body) as Json) : body,
      connection: connections.get(socket) ?? 0,
    };
    seen.push(request);
    give(next.shift() ?? service.answer(request), outgoing);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const service: TestService = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    answer,
    next,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return service;
}

function give(answer: Answer, outgoing: ServerResponse): void {
  if (answer === 'hang') return;
  if (answer === 'reset') {
    outgoing.socket?.resetAndDestroy();
  } else if (answer === 'endless') {
    const chunk = Buffer.alloc(65_536, 'x');
    const more = (): void => {
      while (!outgoing.destroyed && outgoing.write(chunk));
    };
    outgoing.on('drain', more);
    more();
  } else if (answer === 'stall' || answer === 'break-off') {
    outgoing.writeHead(200, { 'Content-Length': '1000' });
    outgoing.write('{"some": "', () => {
      if (answer === 'break-off') outgoing.socket?.destroy();
    });
  } else {
    outgoing.writeHead(answer.status, { 'Content-Type': 'application/json', ...answer.headers });
    outgoing.end(answer.json === undefined ? answer.text : JSON.stringify(answer.json));
  }
}

/** A clock whose sleeps are noted instead of slept, and that can be set forward. Timers are the machine's. */
export function quickClock(): Clock & { readonly slept: number[]; skip(ms: number): void } {
  let ahead = 0;
  const slept: number[] = [];
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + ahead,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      slept.push(ms);
      ahead += ms;
      await Promise.resolve();
    },
    slept,
    skip(ms) {
      ahead += ms;
    },
  };
}

/** A client whose pauses are the longest that they may be. */
export function testClient(clock: Clock = quickClock(), caFile: string | null = null): HttpClient {
  return createHttpClient({ clock, random: { unit: () => 1, uuid: () => '' }, log: silentLog, tls: { caFile } });
}

/** Calls one service with a token, without a Keystone. */
export function callerOf(url: string, http: HttpClient): Caller {
  const access = {
    base: async () => new URL(url),
    tokens: async () => ({ headers: { 'X-Auth-Token': 'the-token' }, ours: 'the-token' }),
  };
  return { service: (type) => createServiceClient(type, http, access) };
}

/** One exchange of nova-compute (Zed) with a service, as it was recorded. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly microversion: string | null;
  readonly request: Json;
  readonly status: number;
  readonly response: Json;
}

/** What was recorded between the stock nova-compute (Zed) and the services. */
export const recorded = JSON.parse(readFileSync(new URL('exchanges.json', import.meta.url), 'utf8')) as {
  readonly build: { readonly neutron: readonly Exchange[]; readonly networkInfo: readonly JsonObject[] };
  readonly attachInterface: { readonly neutron: readonly Exchange[]; readonly networkInfo: readonly JsonObject[] };
  readonly attachVolume: { readonly cinder: readonly Exchange[]; readonly connectionInfo: JsonObject };
  readonly detachVolume: { readonly cinder: readonly Exchange[] };
  readonly startup: { readonly placement: readonly Exchange[] };
  readonly signIn: { readonly request: Json; readonly status: number; readonly response: JsonObject };
};
