import type { Clock } from '../../../core/ports/clock.ts';

/** Asks until the answer is neither undefined nor false; undefined when `ms` have gone by. Asked once at least. */
export async function awaitAnswer<Answer>(
  clock: Clock,
  limits: { readonly ms: number; readonly everyMs: number; readonly signal?: AbortSignal | undefined },
  ask: () => Promise<Answer | undefined | false>,
): Promise<Answer | undefined> {
  const end = clock.monotonicMs() + limits.ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    const left = end - clock.monotonicMs();
    if (left <= 0) return undefined;
    await clock.sleep(Math.min(limits.everyMs, left), limits.signal);
  }
}
