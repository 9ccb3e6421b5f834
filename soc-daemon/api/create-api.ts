import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Request } from 'express';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Caller, ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { Metrics } from '../../kit/metrics.ts';
import type { SocDaemonConfig } from '../../schemas/generated/config.ts';
import type { DashboardAccess, PlatformRequest, Readiness } from '../../schemas/generated/rest.ts';
import { createApp } from './app.ts';
import { createBrowserSessions, type Role } from './browser-sessions.ts';
import { type ConsoleSocketOptions, createConsoleSockets } from './console-socket.ts';
import { createEventStreams } from './events.ts';
import { listenTls, listenUnix } from './listeners.ts';
import { openApiDocument } from './openapi.ts';
import { createRateLimiter } from './rate-limit.ts';
import { routes } from './routes.ts';
import { readTokenCheck, type TokenCheck } from './token.ts';

type RestConfig = NonNullable<SocDaemonConfig['rest']>;

const noPlatformRequest = (): Promise<never> =>
  Promise.reject(new DpuError('not_found', 'the platform has no such request', { field: 'id' }));

/** What the REST interface is made from. */
export interface ApiOptions {
  readonly service: ComputeService;
  /** Part `rest` of the configuration, with its defaults filled in and the socket's path resolved. */
  readonly config: RestConfig & { readonly socket: string };
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What `/readyz` says. */
  readonly readiness: () => Readiness;
  /** Requests of a platform that keeps its own journal, newest first; none unless given. */
  readonly platformRequests?: (limit: number) => readonly PlatformRequest[];
  /** Takes a stuck one up again; there is none unless given. */
  readonly retryPlatformRequest?: (id: string, caller: Caller) => Promise<void>;
  /** Of the program, for the OpenAPI document. */
  readonly version?: string;
  /** The WebSockets of consoles; absent where there is none. */
  readonly consoles?: Omit<ConsoleSocketOptions, 'clock' | 'log'>;
  /** Bytes of events that may wait for one client. */
  readonly eventBufferBytes?: number;
}

/** Where the interface listens. */
export interface ApiAddress {
  readonly socket: string;
  /** `https://host:port`; null without TCP. */
  readonly url: string | null;
}

/** The REST interface of a node. */
export interface Api {
  /**
   * Opens the unix socket and, if it is configured, the TCP port with TLS and a token.
   * @throws DpuError `conflict` (the socket is another's), `invalid` (a file), `unavailable` (the port); nothing is left open then.
   */
  listen(): Promise<ApiAddress>;
  /**
   * Stops accepting, ends event streams, answers whoever waits for an operation's end, gives running requests `drainMs`
   * and then cuts them off. May be called twice.
   */
  close(drainMs: number): Promise<void>;
}

const EVENT_BUFFER_BYTES = 1_048_576;

/** Puts the REST interface together; it listens once told to. */
export function createApi(options: ApiOptions): Api {
  const { service, config, clock, metrics, log } = options;
  const requestTimeoutMs = config.request_timeout_ms ?? 30_000;
  let document: ReturnType<typeof openApiDocument> | undefined; // made when it is asked for first
  const bufferBytes = options.eventBufferBytes ?? EVENT_BUFFER_BYTES;
  const events = createEventStreams({ service, clock, metrics, bufferBytes });
  const consoles = options.consoles === undefined ? null : createConsoleSockets({ ...options.consoles, clock, log });
  const local = new WeakSet<Socket>();
  const servers: Server[] = [];
  const closing = new AbortController();
  const browsers = createBrowserSessions(clock);
  let url: string | null = null;
  let checkToken: TokenCheck = () => false;

  const app = createApp({
    ...options,
    routes,
    openapi: () => {
      document ??= openApiDocument(routes, options.version ?? '0.0.0');
      return document;
    },
    events,
    limiter: createRateLimiter(config.requests_per_second ?? 200, clock),
    roleOf,
    browsers,
    openDashboard,
    platformRequests: options.platformRequests ?? (() => []),
    retryPlatformRequest: options.retryPlatformRequest ?? noPlatformRequest,
    maxBodyBytes: config.max_body_bytes ?? 1_048_576,
    requestTimeoutMs,
    closing: closing.signal,
  });

  function roleOf(request: Request): Role | null {
    if (local.has(request.socket) || checkToken(request.get('authorization'))) return 'admin';
    return browsers.roleOf(request.headers, request.method !== 'GET' && request.method !== 'HEAD');
  }

  function openDashboard(role: Role): DashboardAccess {
    if (url === null) throw new DpuError('unsupported', 'a browser needs the TCP listener (rest.tcp)');
    const { code, expiresAtMs } = browsers.issue(role);
    return { url: `${url}/?code=${code}`, expires_at: new Date(expiresAtMs).toISOString() };
  }

  async function listenTcp(tcp: NonNullable<RestConfig['tcp']>): Promise<string> {
    checkToken = await readTokenCheck(tcp.token_file);
    const host = tcp.host ?? '127.0.0.1';
    const { port, cert_file: certFile, key_file: keyFile } = tcp;
    const server = await listenTls({ host, port, certFile, keyFile, requestTimeoutMs }, app);
    servers.push(server);
    consoles?.serve(server);
    const bound = (server.address() as AddressInfo).port;
    return `https://${host.includes(':') ? `[${host}]` : host}:${bound}`;
  }

  async function close(drainMs: number): Promise<void> {
    closing.abort();
    consoles?.close();
    const last = servers.splice(0).map((server) => closed(server));
    events.close();
    if (last.length === 0) return;
    const all = Promise.all(last.map(({ done }) => done));
    const timer = clock.timer(drainMs, () => {
      for (const { cut } of last) cut();
    });
    try {
      await all;
    } finally {
      timer.cancel();
    }
  }

  return {
    listen: async () => {
      try {
        const mode = Number.parseInt(config.socket_mode ?? '0660', 8);
        const onConnection = (socket: Socket): void => void local.add(socket);
        const server = await listenUnix(config.socket, mode, { requestTimeoutMs, onConnection }, app);
        servers.push(server);
        consoles?.serve(server);
        url = config.tcp === undefined ? null : await listenTcp(config.tcp);
        return { socket: config.socket, url };
      } catch (error) {
        await close(0);
        throw error;
      }
    },
    close,
  };
}

function closed(server: Server): { readonly done: Promise<void>; readonly cut: () => void } {
  const done = new Promise<void>((resolve) => {
    server.keepAliveTimeout = 1;
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  return { done, cut: () => server.closeAllConnections() };
}
