import { createHash, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../../core/ports/clock.ts';
import { HttpError } from './http-error.ts';

/** What a client may do: everything, or look. */
export type Role = 'admin' | 'reader';

/** A code that a person carries from `dpuctl dashboard` into a browser. */
export interface BrowserCode {
  readonly code: string;
  readonly expiresAtMs: number;
}

/** Browsers that were let in: a code that is good once becomes a cookie. Only digests are held, in memory: a restart ends all sessions. */
export interface BrowserSessions {
  issue(role: Role): BrowserCode;
  /** Makes a session out of a code; answers its `Set-Cookie`. null: the code was used before, is too old, or never was. */
  enter(code: string, headers: IncomingHttpHeaders): string | null;
  /**
   * The role of whoever shows a session's cookie; null without one. The session is bound to the `Host` that it began at; what changes something needs
   * an `Origin` of the same host besides.
   * @throws HttpError 403 for a page of another origin.
   */
  roleOf(headers: IncomingHttpHeaders, changes: boolean): Role | null;
}

const codeMs = 60_000;
const sessionMs = 8 * 3_600_000;
const maxHeld = 256;
const cookieName = '__Host-dpu-session';

/** Makes them, empty. */
export function createBrowserSessions(clock: Clock): BrowserSessions {
  const codes = new Map<string, { readonly role: Role; readonly untilMs: number }>();
  const sessions = new Map<string, { readonly role: Role; readonly host: string; readonly untilMs: number }>();

  function room(held: Map<string, { readonly untilMs: number }>): void {
    for (const [key, { untilMs }] of held) {
      if (untilMs > clock.monotonicMs() && held.size < maxHeld) return;
      held.delete(key);
    }
  }

  return {
    issue(role) {
      room(codes);
      const code = randomBytes(24).toString('base64url');
      codes.set(digest(code), { role, untilMs: clock.monotonicMs() + codeMs });
      return { code, expiresAtMs: clock.wallMs() + codeMs };
    },
    enter(code, { host }) {
      const key = digest(code);
      const found = codes.get(key);
      codes.delete(key);
      if (found === undefined || host === undefined || found.untilMs <= clock.monotonicMs()) return null;
      room(sessions);
      const secret = randomBytes(32).toString('base64url');
      sessions.set(digest(secret), { role: found.role, host, untilMs: clock.monotonicMs() + sessionMs });
      return `${cookieName}=${secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=${sessionMs / 1000}`;
    },
    roleOf(headers, changes) {
      const secret = cookieOf(headers.cookie);
      const session = secret === undefined ? undefined : sessions.get(digest(secret));
      if (session === undefined || session.untilMs <= clock.monotonicMs()) return null;
      const { origin } = headers;
      const foreign = origin === undefined ? changes : URL.parse(origin)?.host !== headers.host;
      if (foreign || headers.host !== session.host) {
        throw new HttpError(403, 'denied', 'a page of another origin may not do this');
      }
      return session.role;
    },
  };
}

function cookieOf(header: string | undefined): string | undefined {
  const pairs = (header ?? '').split(/; */).map((pair) => pair.split('='));
  return pairs.find(([name]) => name === cookieName)?.[1];
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
