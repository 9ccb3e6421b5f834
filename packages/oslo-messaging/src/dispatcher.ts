import type { Request } from './codec.ts';
import { noSuchMethod, unsupportedVersion } from './failure.ts';

/** What a handler knows of the call it serves. */
export type CallContext = {
  readonly method: string;
  /** Version that the caller asked for, for example `6.0`. */
  readonly version: string;
  /** The request context (`_context_` fields without the prefix). */
  readonly context: Readonly<Record<string, unknown>>;
  readonly kind: 'call' | 'cast';
  /** The message's id; null when the sender gave none. */
  readonly uniqueId: string | null;
  /** The caller's call-monitor time in seconds, null when it asked for no heartbeats. */
  readonly timeoutSec: number | null;
  /** Whether the broker said that this message may have been delivered before. */
  readonly redelivered: boolean;
  /** Aborts when the server is stopped and the drain time is over. */
  readonly signal: AbortSignal;
  /** Takes the message from the queue: from now on it will not be delivered again. May be called twice. */
  ack(): void;
};

/** Serves one method; what it returns is the result, `undefined` is sent as null. */
export type Handler = (args: Readonly<Record<string, unknown>>, ctx: CallContext) => Promise<unknown>;

/** Methods of one version and namespace (oslo.messaging's endpoint and its target). */
export type Endpoint = {
  /** `major.minor`: serves requests of the same major and a minor that is not higher. */
  readonly version: string;
  readonly namespace?: string;
  readonly methods: Readonly<Record<string, Handler>>;
};

/** Whether an endpoint of version `offered` may serve a request for `requested` (oslo_messaging._utils). */
export function isVersionCompatible(offered: string, requested: string): boolean {
  const [major, minor, revision] = numbers(offered);
  const [wantMajor, wantMinor, wantRevision] = numbers(requested);
  if (major !== wantMajor || wantMinor > minor) return false;
  return wantMinor < minor || wantRevision <= revision;
}

/**
 * The handler for a request: the first endpoint of its namespace and a compatible version that has the method.
 * Names that begin with `_` are never offered.
 * @throws RpcFailure NoSuchMethod or UnsupportedVersion
 */
export function findHandler(
  endpoints: readonly Endpoint[],
  request: Pick<Request, 'method' | 'version' | 'namespace'>,
): Handler {
  let compatible = false;
  for (const endpoint of endpoints) {
    if ((endpoint.namespace ?? null) !== request.namespace) continue;
    if (!isVersionCompatible(endpoint.version, request.version)) continue;
    compatible = true;
    if (request.method.startsWith('_') || !Object.hasOwn(endpoint.methods, request.method)) continue;
    const handler = endpoint.methods[request.method];
    if (handler !== undefined) return handler;
  }
  throw compatible ? noSuchMethod(request.method) : unsupportedVersion(request.version, request.method);
}

function numbers(version: string): readonly [number, number, number] {
  const [major = 0, minor = 0, revision = 0] = version.split('.').map(Number);
  return [major, minor, revision];
}
