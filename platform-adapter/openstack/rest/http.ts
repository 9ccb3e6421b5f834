import type { Readable } from 'node:stream';
import type { Json } from '../../../core/units.ts';

/** What every call to a service takes. */
export interface CallOptions {
  /** Ends the call; its reason is what the call rejects with. */
  readonly signal?: AbortSignal | undefined;
  /** Deadline of the whole call, its repeats included; milliseconds. Default 60 000. Then the error is `timeout`. */
  readonly timeoutMs?: number | undefined;
}

/** A method that the services know. */
export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** How the services' certificates are verified. */
export interface TlsSettings {
  /** PEM file of the CAs that may have signed them; null: the system's. */
  readonly caFile: string | null;
}

/** One request as it goes out. */
export interface HttpRequest {
  /** What we are doing, for errors: `show volume 7000…`. */
  readonly doing: string;
  /** Who is asked, for errors: `cinder`. */
  readonly service: string;
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: Json;
  /** Sent as it is; such a request is never repeated. */
  readonly stream?: { readonly body: Readable; readonly type: string; readonly bytes?: number };
  /** Whether doing it twice is as good as once although the method does not say so (an ensure by POST). */
  readonly repeatable?: boolean;
  /** Bytes that an answer may have at most. Default 16 MiB. */
  readonly maxBytes?: number;
}

/** An answer of 2xx. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body's JSON; null where there is no body. */
  readonly json: Json;
}

/** The head of an answer whose body is read by the caller, who also ends it. */
export interface HttpStream {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/**
 * Sends requests to REST services. What `retryRules` says is safe is tried again with back-off until the deadline.
 *
 * Both throw DpuError by `statusErrors`: `invalid`, `denied`, `not_found`, `conflict`, `exhausted` (quota), `unsupported`, `unavailable` (no connection,
 * 5xx, an answer that is no JSON or too large), `timeout`; its `details` are `{service, status, type}`. No error holds a token or a password.
 */
export interface HttpClient {
  send(request: HttpRequest, options?: CallOptions): Promise<HttpAnswer>;
  /** As `send`; the body comes as a stream. The deadline is until its head; the caller has the rest under its own signal. */
  open(request: HttpRequest, options?: CallOptions): Promise<HttpStream>;
  /** Closes kept connections. */
  close(): void;
}
