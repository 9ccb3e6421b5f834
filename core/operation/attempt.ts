import { DpuError, toDpuError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import type { RetryPolicy } from './plan.ts';

/** Why a step's signal was aborted. */
export type AbortCause = 'deadline' | 'cancelled' | 'stopping';

/** The reason that an aborted signal carries. */
export class StepAborted extends Error {
  override readonly name = 'StepAborted';
  readonly abortCause: AbortCause;
  constructor(abortCause: AbortCause) {
    super(`step aborted: ${abortCause}`);
    this.abortCause = abortCause;
  }
}

/** How an effect ended. */
export type AttemptEnd<Result> =
  | { readonly end: 'done'; readonly result: Result; readonly tries: number }
  | { readonly end: 'failed'; readonly error: DpuError; readonly tries: number }
  /** Cut off by cancel or stop; it may or may not have taken effect. */
  | { readonly end: 'cut-off'; readonly tries: number };

interface AttemptOptions<Result> {
  readonly clock: Clock;
  readonly random: Random;
  /** For messages: `build step disk:attach:1`. */
  readonly what: string;
  readonly deadlineMs: number;
  readonly retry: RetryPolicy;
  /** How long an effect that ignores its signal is waited for. */
  readonly graceMs: number;
  /** Cuts off the effect. */
  readonly cutOff: AbortSignal;
  /** Ends waiting between two tries, while an effect that runs may end. */
  readonly noMoreTries: AbortSignal;
  effect(signal: AbortSignal): Promise<Result>;
}

/** Runs an effect until it is done, fails for good, its deadline is over, or it is cut off. */
export async function attempt<Result>(options: AttemptOptions<Result>): Promise<AttemptEnd<Result>> {
  const { clock, deadlineMs, retry } = options;
  const endsAt = clock.monotonicMs() + deadlineMs;
  const deadline = new AbortController();
  const timer = clock.timer(deadlineMs, () => deadline.abort(new StepAborted('deadline')));
  const signal = AbortSignal.any([options.cutOff, deadline.signal]);
  let delay = retry.firstDelayMs;
  let lastError: DpuError | undefined;
  let tries = 0;
  const timedOut = (): AttemptEnd<Result> => ({
    end: 'failed',
    tries,
    error:
      lastError ?? new DpuError('timeout', `${options.what} did not end within ${Math.round(deadlineMs / 1000)} s`),
  });
  try {
    for (;;) {
      tries += 1;
      try {
        const result = await withGrace(options, signal);
        return { end: 'done', result, tries };
      } catch (error) {
        if (options.cutOff.aborted) return { end: 'cut-off', tries };
        if (deadline.signal.aborted) return timedOut();
        lastError = toDpuError(error, `${options.what} failed`);
        if (lastError.retry !== 'backoff') return { end: 'failed', error: lastError, tries };
      }
      const pause = delay * (0.5 + options.random.unit() / 2);
      if (clock.monotonicMs() + pause >= endsAt) return timedOut();
      try {
        await clock.sleep(pause, AbortSignal.any([options.cutOff, options.noMoreTries]));
      } catch {
        return { end: 'cut-off', tries }; // the sleep ends early only by these signals
      }
      delay = Math.min(delay * retry.factor, retry.maxDelayMs);
    }
  } finally {
    timer.cancel();
  }
}

/** The effect, given up `graceMs` after its signal was aborted if it takes no notice. */
function withGrace<Result>(options: AttemptOptions<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    let grace: { cancel(): void } | undefined;
    const onAbort = (): void => {
      grace = options.clock.timer(options.graceMs, () => reject(signal.reason));
    };
    const settled = (): void => {
      signal.removeEventListener('abort', onAbort);
      grace?.cancel();
    };
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    options.effect(signal).then(
      (result) => {
        settled();
        resolve(result);
      },
      (error: unknown) => {
        settled();
        reject(error);
      },
    );
  });
}
