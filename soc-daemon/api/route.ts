import type { Caller, ComputeService } from '../../core/ports/compute-service.ts';
import type { Metrics } from '../../kit/metrics.ts';
import type { DashboardAccess, PlatformRequest, Readiness } from '../../schemas/generated/rest.ts';
import type { Role } from './browser-sessions.ts';

/** A JSON object from outside, before its schema was looked at. */
export type Untrusted = Readonly<Record<string, unknown>>;

/** What a handler works with: everything but HTTP. */
export interface RequestContext {
  readonly service: ComputeService;
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** Requests of a platform that keeps its own journal, newest first. */
  readonly platformRequests: (limit: number) => readonly PlatformRequest[];
  /** Takes a stuck one up again. @throws `not_found`, `bad_state`. */
  readonly retryPlatformRequest: (id: string, caller: Caller) => Promise<void>;
  readonly openapi: () => unknown;
  readonly openDashboard: (role: Role) => DashboardAccess;
  readonly caller: Caller;
  readonly params: Readonly<Record<string, string>>;
  /** Only parameters that the route declares, converted to their type. */
  readonly query: Readonly<Record<string, string | number | boolean>>;
  /** `{}` where there was none. */
  readonly body: Untrusted;
  readonly header: (name: string) => string | undefined;
  /** How long the client wants to wait for the end of an operation; 0: not at all. */
  readonly waitMs: number;
  /** Ends `waitMs` after its start, or when the client is gone. */
  readonly waitSignal: () => AbortSignal;
}

/** What a handler answers. At most one of `body` (JSON) and `text`. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly text?: string;
}

/** A parameter in the query or a header. Its schema is a reference into `schemas/`. */
export interface Parameter {
  readonly name: string;
  readonly in: 'query' | 'header';
  readonly description: string;
  readonly type: 'string' | 'integer' | 'boolean';
  readonly schema?: string;
}

/** The body that a route takes: a schema less the properties that the path and the headers carry. */
export interface BodySpec {
  readonly schema: string;
  readonly without: readonly string[];
  readonly required: boolean;
}

/** A reply as the OpenAPI document describes it. */
export interface ReplySpec {
  readonly description: string;
  readonly schema?: string;
  readonly headers?: readonly ('ETag' | 'Location')[];
}

/** A method. */
export type Method = 'get' | 'put' | 'post' | 'delete';

/** One row of the route table: the express route, the OpenAPI operation and the allowed method. */
export interface Route {
  readonly method: Method;
  /** As in OpenAPI: `/v1/instances/{uuid}`. */
  readonly path: string;
  /** `operationId`; unique. */
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  readonly body?: BodySpec;
  readonly produces: 'application/json' | 'text/plain' | 'text/event-stream';
  readonly replies: Readonly<Record<number, ReplySpec>>;
  /** A handler, or `events`: the stream of events. */
  readonly handle: ((context: RequestContext) => Reply | Promise<Reply>) | 'events';
}
