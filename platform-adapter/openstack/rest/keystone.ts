import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { type Catalogue, readToken, tokenRequest } from './auth.ts';
import type { CallOptions, HttpClient } from './http.ts';
import { unless } from './rest-errors.ts';
import { createServiceClient, type ServiceClient } from './service-client.ts';

/** Types of the services that we use, as catalogues name them. */
export type ServiceType = 'placement' | 'network' | 'volumev3' | 'image' | 'compute';

/** Which of a service's endpoints in the catalogue. */
export type EndpointInterface = 'public' | 'internal' | 'admin';

/** Who we are: a user's password, or an application credential (Identity API v3 "Password authentication…"). Secrets. */
export type Credentials =
  | {
      readonly kind: 'password';
      readonly username: string;
      readonly password: string;
      readonly userDomain: string;
      readonly project: string;
      readonly projectDomain: string;
    }
  | { readonly kind: 'application_credential'; readonly id: string; readonly secret: string };

/** How Keystone is reached, and which endpoints are taken from its catalogue. */
export interface KeystoneSettings {
  /** With or without `/v3`. */
  readonly authUrl: string;
  readonly credentials: Credentials;
  /** null: the only one, whatever its name. */
  readonly region: string | null;
  /** Tried in this order, for each service. Default `internal`, `public`. */
  readonly interfaces?: readonly EndpointInterface[];
  /** Addresses that win over the catalogue. */
  readonly endpoints?: Readonly<Partial<Record<ServiceType, string>>>;
  /** A token is renewed when it has less than this to live; seconds. Default 300. */
  readonly renewBeforeSec?: number;
}

/** A token of ours as it is used. */
export interface Token {
  /** Secret. */
  readonly id: string;
  readonly projectId: string | null;
  readonly userId: string;
  readonly roles: readonly string[];
}

/** A user whose token came with a request. */
export interface UserAuth {
  /** Secret; never kept. */
  readonly token: string;
  /** The user's project: endpoints that hold a project's id get this one. */
  readonly projectId: string;
}

/** Something that calls services as somebody. */
export interface Caller {
  /** A client of a service; making one asks nobody. */
  service(type: ServiceType): ServiceClient;
}

/**
 * Calls as the service user. Tokens are kept until shortly before they expire, got again once after a 401, and got by one request at a time.
 * Source: Identity API v3.
 */
export interface KeystoneSession extends Caller {
  /** A token that is good now. @throws `denied` (wrong password), `unavailable`, `timeout`. */
  token(options?: CallOptions): Promise<Token>;
  /** The base of a service. @throws `not_found` when the catalogue has none, and as `token`. */
  endpoint(type: ServiceType, options?: CallOptions): Promise<URL>;
  /**
   * Calls as the user, with our own token as `X-Service-Token`: the services then accept what only services may do, and a token that
   * expired while the work took its time.
   */
  withUserToken(user: UserAuth): Caller;
  /** Whether a user's token is (still) good. @throws as `token`. */
  isValid(token: string, options?: CallOptions): Promise<boolean>;
  close(): void;
}

/** A token with what is needed to use and renew it. */
interface HeldToken extends Token {
  readonly catalogue: Catalogue;
  /** By the monotonic clock. */
  readonly renewAtMs: number;
}

const defaultRenewBeforeSec = 300;

const defaultInterfaces: readonly EndpointInterface[] = ['internal', 'public'];

/** A session; asks nobody before the first call. `close` closes the client's connections too. */
export function createKeystone(
  settings: KeystoneSettings,
  { http, clock }: { readonly http: HttpClient; readonly clock: Clock },
): KeystoneSession {
  const base = versioned(settings.authUrl);
  let held: HeldToken | undefined;
  let pending: Promise<HeldToken> | undefined;

  async function authenticate(): Promise<HeldToken> {
    const startedAt = clock.monotonicMs();
    // as long as the client gives any service: whoever waits for it may have less patience
    const answer = await http.send(tokenRequest(base, settings.credentials));
    const { lifetimeMs, ...token } = readToken(answer);
    // a token that lives but minutes is not renewed all the time
    const beforeMs = Math.min((settings.renewBeforeSec ?? defaultRenewBeforeSec) * 1000, lifetimeMs / 4);
    return { ...token, renewAtMs: startedAt + lifetimeMs - beforeMs };
  }

  /** Those who come while a token is being got wait for the same one. */
  function renewed(): Promise<HeldToken> {
    pending ??= authenticate()
      .then((token) => {
        held = token;
        return token;
      })
      .finally(() => {
        pending = undefined;
      });
    return pending;
  }

  async function current(options: CallOptions = {}, refused?: string): Promise<HeldToken> {
    if (held && held.id !== refused && clock.monotonicMs() < held.renewAtMs) return held;
    return await abortable(renewed(), options);
  }

  /** Settles as the promise does, or when the caller's own patience ends; the others go on waiting. */
  async function abortable<Result>(promise: Promise<Result>, { signal, timeoutMs }: CallOptions): Promise<Result> {
    signal?.throwIfAborted();
    const ended = Promise.withResolvers<never>();
    const abort = (): void => ended.reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const timer =
      timeoutMs === undefined
        ? undefined
        : clock.timer(timeoutMs, () =>
            ended.reject(new DpuError('timeout', `keystone: can't get a token in ${timeoutMs} ms`)),
          );
    try {
      return await Promise.race([promise, ended.promise]);
    } finally {
      timer?.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }

  async function endpoint(type: ServiceType, options?: CallOptions): Promise<URL> {
    const own = settings.endpoints?.[type];
    return new URL(own ?? endpointOf((await current(options)).catalogue, type, settings));
  }

  const session: KeystoneSession = {
    async token(options) {
      const { id, projectId, userId, roles } = await current(options);
      return { id, projectId, userId, roles };
    },
    endpoint,
    service: (type) =>
      createServiceClient(type, http, {
        base: (options) => endpoint(type, options),
        async tokens(options, refused) {
          const { id } = await current(options, refused);
          // Cinder lets go of a server's volume for a service only, and knows one by this header
          return { headers: { 'X-Auth-Token': id, 'X-Service-Token': id }, ours: id };
        },
      }),
    withUserToken: (user) => ({
      service: (type) =>
        createServiceClient(type, http, {
          async base(options) {
            const url = await endpoint(type, options);
            const { projectId } = await current(options);
            return projectId === null ? url : ofProject(url, projectId, user.projectId);
          },
          async tokens(options, refused) {
            const { id } = await current(options, refused);
            return { headers: { 'X-Auth-Token': user.token, 'X-Service-Token': id }, ours: id };
          },
        }),
    }),
    async isValid(token, options) {
      const ask = async (refused?: string): Promise<string> => {
        const { id } = await current(options, refused);
        const headers = { 'X-Auth-Token': id, 'X-Subject-Token': token };
        const url = new URL('auth/tokens?nocatalog=1', base);
        await http.send({ doing: 'check a token', service: 'keystone', method: 'GET', url, headers }, options);
        return id;
      };
      return await unless('not_found', ask());
    },
    close: () => http.close(),
  };
  return session;
}

/** The API's root with `/v3/` at its end. */
function versioned(authUrl: string): URL {
  return new URL(`${authUrl.replace(/\/+$/, '').replace(/\/v3$/, '')}/v3/`);
}

function endpointOf(catalogue: Catalogue, type: ServiceType, settings: KeystoneSettings): string {
  const { region, interfaces = defaultInterfaces } = settings;
  const there = catalogue.filter((each) => each.type === type && (region === null || each.region === region));
  const found = interfaces.map((wanted) => there.filter((each) => each.interface === wanted)).find(([each]) => each);
  const [first] = found ?? [];
  const where = `${interfaces.join(' or ')}${region === null ? '' : ` in region ${region}`}`;
  if (first === undefined) {
    throw new DpuError('not_found', `keystone: the catalogue has no ${type} endpoint (${where})`, {
      field: `platform.openstack.endpoints.${type}`,
    });
  }
  if (region === null && new Set(there.map((each) => each.region)).size > 1) {
    throw new DpuError('invalid', `keystone: the catalogue has ${type} in several regions; name one`, {
      field: 'platform.openstack.region',
    });
  }
  return first.url;
}

/** An endpoint that holds our project's id, with the user's in its place. */
function ofProject(url: URL, ours: string, theirs: string): URL {
  return new URL(
    url.href
      .split('/')
      .map((part) => part.replace(ours, theirs))
      .join('/'),
  );
}
