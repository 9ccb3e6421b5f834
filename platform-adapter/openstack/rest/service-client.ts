import type { Json } from '../../../core/units.ts';
import type { CallOptions, HttpAnswer, HttpMethod, HttpRequest, HttpStream } from './http.ts';

/** A request to a service; the path is relative to its endpoint, and encoded by the caller (`encodeURIComponent`). */
export interface ServiceRequest {
  /** What we are doing, for errors: `show volume 7000…`. */
  readonly doing: string;
  readonly method: HttpMethod;
  /** `ports/…` */
  readonly path: string;
  /** Several values make several parameters; undefined ones are left out. */
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: Json;
  readonly stream?: NonNullable<HttpRequest['stream']>;
  readonly repeatable?: boolean;
  readonly maxBytes?: number;
  /** `3.44`: sent as `OpenStack-API-Version: volume 3.44`, by the service's own name for itself. */
  readonly microversion?: string;
}

/** Calls one service as somebody. Errors are HttpClient's; a 401 gets a new token once. */
export interface ServiceClient {
  send(request: ServiceRequest, options?: CallOptions): Promise<HttpAnswer>;
  open(request: ServiceRequest, options?: CallOptions): Promise<HttpStream>;
}
