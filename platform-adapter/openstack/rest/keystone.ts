import type { CallOptions } from './http.ts';
import type { ServiceClient } from './service-client.ts';

/** Types of the services that we use, as catalogues name them. */
export type ServiceType = 'placement' | 'network' | 'volumev3' | 'image' | 'identity' | 'compute';

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
  /** Tried in this order, per service. Default `internal`, `public`. */
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
