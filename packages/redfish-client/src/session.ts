import type { Agent } from 'node:http';
import { ConnectionError, HttpError, ProtocolError, RedfishError } from './errors.ts';
import { exchange, type OutgoingRequest, type RawAnswer } from './exchange.ts';
import { linkOf, objectAt, parseObject } from './json.ts';
import type { Notice } from './notice.ts';
import { locationPath, pathOn } from './origin.ts';
import { withSignal } from './signals.ts';

/** Who we are. Passwords and tokens are in no error, notice or inspection of the client. */
export type Auth =
  /** A session (DSP0266 "Redfish session login authentication"); opened with the first request, again after a 401. */
  | { readonly kind: 'session'; readonly username: string; readonly password: string }
  /** HTTP basic (DSP0266 "HTTP basic authentication"); each request carries the password. */
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** A session where the service has them, else basic. */
  | { readonly kind: 'auto'; readonly username: string; readonly password: string }
  | { readonly kind: 'none' };

/** Headers that prove who we are, and how to get new ones. */
export type Authenticator = {
  headers(signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** After a 401 to a request that carried `used`: true when it is worth a repeat with new headers. */
  renew(used: Readonly<Record<string, string>>): boolean;
  /** Ends the session if there is one. */
  close(signal: AbortSignal): Promise<void>;
  /** What must never be shown. */
  secrets(): readonly string[];
};

/** What an authenticator needs of the client. */
export type AuthContext = {
  readonly origin: URL;
  readonly agent: Agent;
  readonly maxBytes: number;
  readonly maxDepth: number;
  /** Sends under the client's limit of requests in flight. */
  run(signal: AbortSignal, work: () => Promise<RawAnswer>): Promise<RawAnswer>;
  notify(notice: Notice): void;
  /** Ends with the client. A login is shared by many requests, so that none of their signals ends it. */
  readonly closed: AbortSignal;
  readonly loginTimeoutMs: number;
};

/** A login under way; it is given up when nobody waits for it any more. */
type Login = { readonly done: Promise<Session>; readonly abandon: AbortController; waiting: number };

type Session = { readonly token: string; readonly path: string | undefined };

/** Makes the authenticator of a way to log in. */
export function makeAuthenticator(auth: Auth, context: AuthContext): Authenticator {
  if (auth.kind === 'none')
    return { headers: async () => ({}), renew: () => false, close: async () => {}, secrets: () => [] };
  const basic = `Basic ${Buffer.from(`${auth.username}:${auth.password}`, 'utf8').toString('base64')}`;
  const basicHeaders = { Authorization: basic };
  const known = new Set([auth.password, basic.slice(6)]);
  if (auth.kind === 'basic')
    return { headers: async () => basicHeaders, renew: () => false, close: async () => {}, secrets: () => [...known] };
  return sessionAuthenticator(auth, basicHeaders, known, context);
}

function sessionAuthenticator(
  auth: Auth & { readonly kind: 'session' | 'auto' },
  basicHeaders: Readonly<Record<string, string>>,
  known: Set<string>,
  context: AuthContext,
): Authenticator {
  let session: Session | undefined;
  let login: Login | undefined;
  let fallback = false;

  const send = (request: OutgoingRequest, signal: AbortSignal) =>
    context.run(signal, () => exchange(context.origin, context.agent, request, context.maxBytes, signal));

  /** Links.Sessions of the service root, which is readable without login (DSP0266 "Service root request"). */
  async function sessionsPath(signal: AbortSignal): Promise<string | undefined> {
    const headers = { Accept: 'application/json', 'OData-Version': '4.0' };
    const answer = await send({ method: 'GET', path: '/redfish/v1/', headers }, signal);
    if (answer.status === 401 || answer.status === 403) return '/redfish/v1/SessionService/Sessions';
    if (answer.status !== 200) throw new HttpError('GET', '/redfish/v1/', answer.status, []);
    const root = parseObject(answer.body, context.maxDepth, 'service root');
    const link = linkOf(objectAt(root, 'Links'), 'Sessions');
    return link === undefined ? undefined : pathOn(context.origin, link);
  }

  async function open(abandoned: AbortSignal): Promise<Session> {
    const signal = AbortSignal.any([context.closed, abandoned, AbortSignal.timeout(context.loginTimeoutMs)]);
    try {
      const path = await sessionsPath(signal);
      if (path === undefined) throw new ProtocolError('the service root names no sessions');
      const answer = await send(
        {
          method: 'POST',
          path,
          headers: { Accept: 'application/json', 'Content-Type': 'application/json', 'OData-Version': '4.0' },
          body: JSON.stringify({ UserName: auth.username, Password: auth.password }),
        },
        signal,
      );
      // The answer's messages may quote the password, so none of them is kept.
      if (answer.status < 200 || answer.status > 299) throw new HttpError('POST', path, answer.status, []);
      const token = answer.headers['x-auth-token'];
      if (typeof token !== 'string' || token === '') throw new ProtocolError('login: no X-Auth-Token');
      known.add(token);
      const { location } = answer.headers;
      const opened = {
        token,
        path: location === undefined ? bodyPath(answer) : locationPath(context.origin, location),
      };
      context.notify({ kind: 'session-opened' });
      return opened;
    } catch (error) {
      if (!context.closed.aborted && !abandoned.aborted && signal.aborted && !(error instanceof RedfishError))
        throw new ConnectionError('ETIMEDOUT', 'login');
      throw error;
    }
  }

  /** The session's own id, for services that send no Location. */
  function bodyPath(answer: RawAnswer): string | undefined {
    try {
      const id = parseObject(answer.body, context.maxDepth, 'login')['@odata.id'];
      return typeof id === 'string' ? pathOn(context.origin, id) : undefined;
    } catch {
      return undefined; // Without a path the session cannot be ended by us; it still works until its own time-out.
    }
  }

  function begin(): Login {
    const abandon = new AbortController();
    const done = open(abandon.signal).finally(() => {
      if (login?.done === done) login = undefined;
    });
    // Whoever waits hears of a failure; when all have left, nobody needs to.
    done.catch(() => {});
    return { done, abandon, waiting: 0 };
  }

  return {
    async headers(signal) {
      if (fallback) return basicHeaders;
      if (session !== undefined) return { 'X-Auth-Token': session.token };
      login ??= begin();
      const joined = login;
      joined.waiting++;
      try {
        session = await withSignal(joined.done, signal);
      } catch (error) {
        const without =
          error instanceof HttpError ? [404, 405, 501].includes(error.status) : error instanceof ProtocolError;
        if (auth.kind !== 'auto' || !without) throw error;
        fallback = true;
        context.notify({ kind: 'basic-fallback' });
        return basicHeaders;
      } finally {
        joined.waiting--;
        if (joined.waiting === 0) joined.abandon.abort();
      }
      return { 'X-Auth-Token': session.token };
    },
    renew(used) {
      const token = used['X-Auth-Token'];
      if (token === undefined) return false;
      if (session?.token === token) {
        session = undefined;
        known.delete(token);
        context.notify({ kind: 'session-lost' });
      }
      return true;
    },
    async close(signal) {
      const ending = session ?? (login && (await withSignal(login.done, signal).catch(() => undefined)));
      session = undefined;
      if (ending?.path === undefined) return;
      const headers = { 'X-Auth-Token': ending.token, 'OData-Version': '4.0' };
      const answer = await send({ method: 'DELETE', path: ending.path, headers }, signal);
      if (answer.status < 300) context.notify({ kind: 'session-closed' });
    },
    secrets: () => [...known],
  };
}
