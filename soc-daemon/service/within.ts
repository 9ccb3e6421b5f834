import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';

/** Time that a peer has to answer what the service itself asks (steps of operations have their own), in milliseconds. */
export const patienceMs = { ask: 30_000, mend: 300_000 } as const;

/**
 * Makes a call that ends in time, whatever the peer does: its signal is aborted at the deadline, and a call that takes
 * no notice is left behind. `until` ends it before.
 * @throws DpuError `timeout`; the reason of `until`; what the call rejects with.
 */
export function within<Answer>(
  clock: Clock,
  ms: number,
  call: (signal: AbortSignal) => Promise<Answer>,
  until?: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const deadline = new AbortController();
    const giveUp = (reason: unknown): void => {
      deadline.abort(reason);
      reject(reason);
    };
    if (until?.aborted) {
      giveUp(until.reason);
      return;
    }
    const late = (): void => giveUp(new DpuError('timeout', `no answer within ${Math.round(ms / 1000)} s`));
    const timer = clock.timer(ms, late);
    const end = (): void => giveUp(until?.reason);
    until?.addEventListener('abort', end, { once: true });
    call(deadline.signal)
      .then(resolve, reject)
      .finally(() => {
        timer.cancel();
        until?.removeEventListener('abort', end);
      });
  });
}
