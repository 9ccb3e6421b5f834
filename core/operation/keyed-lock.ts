/** Locks by name, first come first served: steps that share a key (the host's power) never run at once. */
export interface KeyedLock {
  /** Ends when the lock is held; the answer gives it back. Rejects with the signal's reason when aborted first. */
  acquire(key: string, signal: AbortSignal): Promise<() => void>;
}

/** Makes a set of locks, all free. */
export function createKeyedLock(): KeyedLock {
  const waiting = new Map<string, (() => void)[]>();

  function release(key: string): void {
    const next = waiting.get(key)?.shift();
    if (next) next();
    else waiting.delete(key);
  }

  return {
    acquire(key, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        let given = false;
        const grant = (): void => {
          given = true;
          signal.removeEventListener('abort', giveUp);
          let held = true;
          resolve(() => {
            if (held) release(key);
            held = false;
          });
        };
        const giveUp = (): void => {
          if (given) return;
          const queue = waiting.get(key);
          const place = queue?.indexOf(grant) ?? -1;
          if (place >= 0) queue?.splice(place, 1);
          reject(signal.reason);
        };
        signal.addEventListener('abort', giveUp, { once: true });
        const queue = waiting.get(key);
        if (queue) queue.push(grant);
        else {
          waiting.set(key, []);
          grant();
        }
      });
    },
  };
}
