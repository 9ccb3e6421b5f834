import { toDpuError } from '../../core/errors.ts';
import type { Log } from '../../core/ports/log.ts';

/** Troubles that last are told when they begin, when they become others, and when they are over: one line each. */
export interface Troubles {
  /** What is tried again and again failed once more. `about`: what it was tried for, where that is several things. */
  failed(message: string, error: unknown, about?: string): void;
  /** It succeeded. */
  over(message: string, about?: string): void;
}

/** Tells them to a log. */
export function tellTroubles(log: Log): Troubles {
  const standing = new Map<string, string>();
  const keyOf = (message: string, about: string | undefined): string => `${message}/${about ?? ''}`;
  return {
    failed(message, thrown, about) {
      const error = toDpuError(thrown, 'an inner error');
      const what = `${error.code} ${error.message}`;
      const key = keyOf(message, about);
      if (standing.get(key) === what) return;
      standing.set(key, what);
      log.warn(message, { ...(about === undefined ? {} : { about }), error });
    },
    over(message, about) {
      if (standing.delete(keyOf(message, about))) log.info('trouble is over', { trouble: message, about });
    },
  };
}
