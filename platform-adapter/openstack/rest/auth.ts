import { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import { objectIn, objectsIn, optionalObject, optionalObjects, optionalText, textOf } from './fields.ts';
import type { HttpAnswer, HttpRequest } from './http.ts';
import type { Credentials } from './keystone.ts';

/** Every endpoint of a token's catalogue. */
export type Catalogue = readonly {
  readonly type: string;
  readonly interface: string;
  readonly region: string | null;
  readonly url: string;
}[];

/** What an answer to an authentication says. */
export interface IssuedToken {
  /** Secret. */
  readonly id: string;
  readonly projectId: string | null;
  readonly userId: string;
  readonly roles: readonly string[];
  readonly catalogue: Catalogue;
  /** Counted by the service's own clock: ours may not be set. */
  readonly lifetimeMs: number;
}

/** The request for a token of the project (Identity API v3, POST /v3/auth/tokens). */
export function tokenRequest(base: URL, credentials: Credentials): HttpRequest {
  const { identity, secret } = identityOf(credentials);
  return {
    doing: 'sign in',
    service: 'keystone',
    method: 'POST',
    url: new URL('auth/tokens', base),
    json: { auth: identity },
    // one token more is no harm
    repeatable: true,
    secrets: [secret],
  };
}

function identityOf(credentials: Credentials): { readonly identity: JsonObject; readonly secret: string } {
  if (credentials.kind === 'application_credential') {
    const { id, secret } = credentials;
    // it is bound to its project: a scope is not allowed
    const identity = { identity: { methods: ['application_credential'], application_credential: { id, secret } } };
    return { identity, secret };
  }
  const { username, password, userDomain, project, projectDomain } = credentials;
  const user = { name: username, password, domain: { name: userDomain } };
  return {
    identity: {
      identity: { methods: ['password'], password: { user } },
      scope: { project: { name: project, domain: { name: projectDomain } } },
    },
    secret: password,
  };
}

/** @throws DpuError `unavailable` for an answer that is not as the API says. */
export function readToken({ headers, json }: HttpAnswer): IssuedToken {
  const id = headers['x-subject-token'];
  if (id === undefined || id === '') throw new DpuError('unavailable', 'keystone: the answer has no token');
  const token = objectIn(json, 'token');
  const lifetimeMs = Date.parse(textOf(token, 'expires_at')) - Date.parse(textOf(token, 'issued_at'));
  if (!(lifetimeMs > 0)) throw new DpuError('unavailable', 'keystone: the token has no life time');
  return {
    id,
    projectId: optionalText(optionalObject(token, 'project'), 'id'),
    userId: textOf(optionalObject(token, 'user'), 'id'),
    roles: optionalObjects(token, 'roles').map((each) => textOf(each, 'name')),
    catalogue: optionalObjects(token, 'catalog').flatMap((service) =>
      objectsIn(service, 'endpoints').map((each) => ({
        type: textOf(service, 'type'),
        interface: textOf(each, 'interface'),
        region: optionalText(each, 'region_id') ?? optionalText(each, 'region'),
        url: textOf(each, 'url'),
      })),
    ),
    lifetimeMs,
  };
}
