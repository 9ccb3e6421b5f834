import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { Backend } from '../backend.ts';

/** Looks at a card that tells of nothing by itself. */
export interface Watch {
  readonly add: Backend['watch'];
  /** Tells the listeners that something may have changed. */
  readonly tell: () => void;
  close(): void;
}

/** While somebody listens the card is listed every `everyMs`; listeners are told when the list is another than before. */
export function createWatch(parts: Pick<Backend, 'list'> & { readonly clock: Clock; readonly everyMs: number }): Watch {
  const { list, clock, everyMs } = parts;
  const listeners = new Set<() => void>();
  const closing = new AbortController();
  let timer: Timer | null = null;
  let before: string | null = null;

  const tell = (): void => {
    for (const each of listeners) each();
  };
  const next = (): void => {
    if (timer === null && listeners.size > 0 && !closing.signal.aborted)
      timer = clock.timer(everyMs, () => void look());
  };
  const look = async (): Promise<void> => {
    let now: string | null = null;
    try {
      now = JSON.stringify(await list(closing.signal));
    } catch {
      // a card that can't be asked now is looked at again, and its return is a change
    }
    timer = null;
    if (now !== null && now !== before) tell();
    before = now;
    next();
  };

  return {
    add: (changed) => {
      listeners.add(changed);
      next();
      return () => {
        listeners.delete(changed);
        if (listeners.size > 0) return;
        timer?.cancel();
        timer = null;
      };
    },
    tell,
    close: () => {
      listeners.clear();
      timer?.cancel();
      closing.abort();
    },
  };
}
