import type { Socket } from 'node:net';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { errorTable, toDpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Caller, ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { Metrics } from '../../kit/metrics.ts';
import type { DashboardAccess, PlatformRequest, Readiness } from '../../schemas/generated/rest.ts';
import type { BrowserSessions, Role } from './browser-sessions.ts';
import { refuseTooDeep } from './depth.ts';
import type { EventStreams } from './events.ts';
import { HttpError } from './http-error.ts';
import { checkBody } from './mutation.ts';
import { isPage, servePages } from './pages.ts';
import { readQuery, readWait } from './parameters.ts';
import { problemOf, problemType } from './problem.ts';
import type { RateLimiter } from './rate-limit.ts';
import type { Reply, RequestContext, Route, Untrusted } from './route.ts';

/** What the express application works with. */
export interface AppOptions {
  readonly routes: readonly Route[];
  readonly service: ComputeService;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  readonly platformRequests: (limit: number) => readonly PlatformRequest[];
  readonly retryPlatformRequest: (id: string, caller: Caller) => Promise<void>;
  readonly openapi: () => unknown;
  readonly events: EventStreams;
  readonly limiter: RateLimiter;
  /** What the request may do: it came by the unix socket, carries the token, or a browser's session. null: nothing. */
  readonly roleOf: (request: Request) => Role | null;
  readonly browsers: BrowserSessions;
  /** Lets a browser in. @throws DpuError `unsupported` without TCP. */
  readonly openDashboard: (role: Role) => DashboardAccess;
  readonly maxBodyBytes: number;
  readonly requestTimeoutMs: number;
  /** The interface closes: nobody waits for an operation's end any more. */
  readonly closing: AbortSignal;
}

/** The REST interface as an express application; it listens nowhere by itself. */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', false);
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.use(prepare(options));
  app.use(servePages(options.browsers, options.roleOf));
  const json = express.json({
    limit: options.maxBodyBytes,
    inflate: false,
    type: ['application/json', 'application/*+json'],
  });
  for (const [path, rows] of Map.groupBy(options.routes, (route) => route.path)) {
    // `app.all` makes a layer, with a regular expression, for each of 35 methods
    app.route(path.replaceAll(/\{(\w+)\}/g, ':$1')).all(route(rows, options), json, answer(options));
  }
  app.use(() => {
    throw new HttpError(404, 'not_found', 'there is nothing at this path');
  });
  app.use(onError(options));
  return app;
}

/** Headers of every answer, metrics, the limit of requests and the token. */
function prepare({ clock, metrics, limiter, roleOf, log }: AppOptions) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const startMs = clock.monotonicMs();
    response.setHeader('cache-control', 'no-store');
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
    response.on('close', () => {
      const seconds = (clock.monotonicMs() - startMs) / 1000;
      const pattern = matched(response)?.path ?? 'none';
      const method = /^(GET|HEAD|PUT|POST|DELETE)$/.test(request.method) ? request.method : 'other';
      metrics.httpAnswered({ method, route: pattern, status: response.statusCode, seconds });
      log.debug('request answered', { method, route: pattern, status: response.statusCode, seconds });
    });
    const waitMs = limiter(peerOf(request.socket));
    if (waitMs > 0) {
      const headers = { 'retry-after': String(Math.ceil(waitMs / 1000)) };
      throw new HttpError(429, 'busy', 'too many requests in a short time', { headers });
    }
    const role = roleOf(request);
    if (role === null && !isPage(request.path)) {
      log.warn('request without a valid token', { peer: request.socket.remoteAddress });
      const headers = { 'www-authenticate': 'Bearer realm="dpu-compute"' };
      throw new HttpError(401, 'denied', 'a valid bearer token is needed', { headers });
    }
    if (role === 'reader' && request.method !== 'GET' && request.method !== 'HEAD') {
      throw new HttpError(403, 'denied', 'this session may only look');
    }
    next();
  };
}

/** Finds the row by method, and refuses what the row does not take before a byte of the body is read. */
function route(rows: readonly Route[], options: AppOptions) {
  const allow = rows.flatMap((row) => (row.method === 'get' ? ['GET', 'HEAD'] : [row.method.toUpperCase()])).join(', ');
  return (request: Request, response: Response, next: NextFunction): void => {
    const method = request.method === 'HEAD' ? 'get' : request.method.toLowerCase();
    const row = rows.find((each) => each.method === method);
    if (row === undefined) {
      throw new HttpError(405, 'unsupported', `only ${allow} is possible here`, { headers: { allow } });
    }
    response.locals.route = row;
    if (request.accepts(row.produces) === false) {
      throw new HttpError(406, 'invalid', `only ${row.produces} is to be had here`, { field: 'Accept' });
    }
    const hasBody = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0;
    if (hasBody && row.body === undefined) throw new HttpError(400, 'invalid', 'this request takes no body', closing);
    if (hasBody && !request.is(['application/json', 'application/*+json'])) {
      throw new HttpError(415, 'invalid', 'the body must be application/json', { ...closing, field: 'Content-Type' });
    }
    if (row.handle === 'events') {
      readQuery(request.originalUrl, row.parameters);
      options.events.open(request, response);
      return;
    }
    next();
  };
}

const closing = { headers: { connection: 'close' } };

/** Runs the row's handler within the time that a request may take. */
function answer(options: AppOptions) {
  const { clock, requestTimeoutMs } = options;
  return async (request: Request, response: Response): Promise<void> => {
    const row = matched(response);
    if (row === undefined || row.handle === 'events') return;
    const query = readQuery(request.originalUrl, row.parameters);
    const body: unknown = request.body ?? {};
    if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      throw new HttpError(400, 'invalid', 'the body must be a JSON object');
    }
    refuseTooDeep(body);
    if (row.body !== undefined) checkBody(body as Untrusted, row.body);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const waitMs = readWait(query, request.get('prefer'), requestTimeoutMs);
    const { wait: _, ...rest } = query;
    const context: RequestContext = {
      ...options,
      caller: { by: 'rest:admin' },
      params: request.params as Record<string, string>,
      query: rest,
      body: body as Untrusted,
      header: (name) => request.get(name),
      waitMs,
      waitSignal: () => {
        const timer = clock.timer(waitMs, () => gone.abort());
        response.on('close', () => timer.cancel());
        return AbortSignal.any([gone.signal, options.closing]);
      },
    };
    const overdue = Promise.withResolvers<never>();
    const timer = clock.timer(requestTimeoutMs + waitMs, () =>
      overdue.reject(new HttpError(504, 'timeout', 'the request took longer than this node allows')),
    );
    try {
      send(response, await Promise.race([row.handle(context), overdue.promise]));
    } finally {
      timer.cancel();
    }
  };
}

function send(response: Response, reply: Reply): void {
  if (response.destroyed) return;
  response.status(reply.status).set({ ...reply.headers });
  if (reply.text !== undefined) response.end(reply.text);
  else if (reply.body === undefined) response.end();
  else response.json(reply.body);
}

function onError({ log }: AppOptions) {
  return (thrown: unknown, _request: Request, response: Response, _next: NextFunction): void => {
    const problem = problemOf(thrown);
    const row = matched(response);
    if (errorTable[problem.body.code].http === 500) {
      log.error('request failed', { error: toDpuError(thrown, 'answering a request failed'), route: row?.path });
    }
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    response.status(problem.status).set(problem.headers).type(problemType).send(JSON.stringify(problem.body));
  };
}

function matched(response: Response): Route | undefined {
  return response.locals.route as Route | undefined;
}

/** Whom the limit of requests counts: an address, or all who may open the unix socket together. */
function peerOf(socket: Socket): string {
  return socket.remoteAddress ?? 'unix';
}
