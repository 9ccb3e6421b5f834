/** Who may ask: basic authentication and sessions (DSP0266 "Security details"). */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** A session that is open; its token is shown once. */
export interface Session {
  readonly id: string;
  readonly username: string;
  readonly createdAt: string;
}

/** The accounts and sessions of the service; there is one account. */
export interface Sessions {
  /** Whether the request bears a live token or the right name and password. */
  mayAsk(request: IncomingMessage): boolean;
  isRight(username: unknown, password: unknown): boolean;
  /** Opens one; when there are too many, the one that was quiet longest ends, as on BMCs that never lock their owner out. */
  open(): { readonly session: Session; readonly token: string };
  list(): readonly Session[];
  /** Whether there was one. */
  end(id: string): boolean;
}

const MAX_SESSIONS = 16;

/** Seconds without a request after which a session ends (schema SessionService, SessionTimeout). */
export const SESSION_TIMEOUT_S = 1800;

/** Makes the register of one account. */
export function openSessions(username: string, password: string): Sessions {
  const live = new Map<string, Session & { readonly tokenHash: Buffer; seenAt: number }>();
  let count = 0;

  function sweep(): void {
    const oldest = performance.now() - SESSION_TIMEOUT_S * 1000;
    for (const [id, { seenAt }] of live) if (seenAt < oldest) live.delete(id);
  }
  function isRight(name: unknown, word: unknown): boolean {
    if (typeof name !== 'string' || typeof word !== 'string') return false;
    const fits = [same(digest(name), digest(username)), same(digest(word), digest(password))];
    return fits.every(Boolean);
  }
  return {
    isRight,
    mayAsk(request) {
      const token = request.headers['x-auth-token'];
      if (typeof token === 'string') {
        sweep();
        const hash = digest(token);
        const session = [...live.values()].find(({ tokenHash }) => same(tokenHash, hash));
        if (session) session.seenAt = performance.now();
        return session !== undefined;
      }
      const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ');
      if (scheme?.toLowerCase() !== 'basic') return false;
      const text = Buffer.from(value, 'base64').toString();
      const colon = text.indexOf(':');
      return colon > 0 && isRight(text.slice(0, colon), text.slice(colon + 1));
    },
    open() {
      sweep();
      const [quietest] = [...live].sort(([, a], [, b]) => a.seenAt - b.seenAt);
      if (quietest && live.size >= MAX_SESSIONS) live.delete(quietest[0]);
      const token = randomBytes(24).toString('base64url');
      const session = { id: String(++count), username, createdAt: new Date().toISOString() };
      live.set(session.id, { ...session, tokenHash: digest(token), seenAt: performance.now() });
      return { session, token };
    },
    list() {
      sweep();
      return [...live.values()].map(({ id, createdAt }) => ({ id, username, createdAt }));
    },
    end: (id) => live.delete(id),
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function same(a: Buffer, b: Buffer): boolean {
  return timingSafeEqual(a, b);
}
