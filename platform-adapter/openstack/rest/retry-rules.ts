import type { HttpMethod } from './http.ts';

/** How a try failed, as far as trying again goes. */
export type Failure =
  /** Nothing was sent: no connection. */
  | 'not-connected'
  /** The connection broke after something was sent. */
  | 'lost'
  /** 2xx with a body that is no JSON: a proxy's page. */
  | 'garbled'
  | 'status-429'
  | 'status-500'
  | 'status-502'
  | 'status-503'
  | 'status-504';

/** What a failure lets us repeat: everything; what may be done twice; what only reads. */
type Repeats = 'all' | 'idempotent' | 'reading';

/** Failure -> what is tried again. Any other failure is not. */
const repeats: Readonly<Record<Failure, Repeats>> = {
  'not-connected': 'all',
  'status-429': 'all',
  lost: 'idempotent',
  'status-502': 'idempotent',
  'status-503': 'idempotent',
  'status-504': 'idempotent',
  'status-500': 'reading',
  garbled: 'reading',
};

/** Methods that may be done twice (RFC 9110 9.2.2); all four services keep to that. */
const idempotent: ReadonlySet<HttpMethod> = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);

/** Tries of one call in all, and the pauses between them; the pause is drawn between half and all of it. */
export const tries = { most: 4, firstDelayMs: 200, factor: 2, longestRetryAfterMs: 5_000 } as const;

/** The failure that a status is; undefined: no failure that could pass by itself. */
export function failureOf(status: number): Failure | undefined {
  const name = `status-${status}`;
  return isFailure(name) ? name : undefined;
}

function isFailure(name: string): name is Failure {
  return Object.hasOwn(repeats, name);
}

/** Whether a request may be sent again after a failure. `repeatable`: doing it twice is as good as once, whatever the method. */
export function mayRepeat(failure: Failure, method: HttpMethod, repeatable: boolean): boolean {
  switch (repeats[failure]) {
    case 'all':
      return true;
    case 'idempotent':
      return repeatable || idempotent.has(method);
    case 'reading':
      return method === 'GET' || method === 'HEAD';
  }
}

/** Milliseconds before try `next` (1 is the first repeat); what the service asked for wins. null: it asked for more than we wait. */
export function pauseMs(next: number, retryAfter: string | undefined, unit: () => number): number | null {
  if (retryAfter !== undefined && /^\d{1,9}$/.test(retryAfter.trim())) {
    const asked = Number(retryAfter) * 1000;
    return asked > tries.longestRetryAfterMs ? null : asked;
  }
  return tries.firstDelayMs * tries.factor ** (next - 1) * (0.5 + unit() / 2);
}
