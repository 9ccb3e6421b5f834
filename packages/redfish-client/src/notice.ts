/** What the client did by itself and a program may want to log or count. No notice holds a secret. */
export type Notice =
  | { readonly kind: 'session-opened' }
  /** The service no longer knows our token; the next request logs in again. */
  | { readonly kind: 'session-lost' }
  | { readonly kind: 'session-closed' }
  /** `auto`: the service has no sessions, basic authentication is used. */
  | { readonly kind: 'basic-fallback' }
  /** A read is repeated after `delayMs`. */
  | { readonly kind: 'retry'; readonly path: string; readonly code: string; readonly delayMs: number }
  /** A write met another ETag and is repeated with the new one. */
  | { readonly kind: 'etag-retry'; readonly path: string }
  | { readonly kind: 'stream-connected'; readonly path: string }
  /** The event stream ended; it is opened again after `delayMs`. */
  | { readonly kind: 'stream-lost'; readonly path: string; readonly code: string; readonly delayMs: number };

/** Hears notices. What it throws is dropped. */
export type Notify = (notice: Notice) => void;
