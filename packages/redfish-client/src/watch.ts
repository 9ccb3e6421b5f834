import type { RedfishClient } from './client.ts';
import type { Resource } from './collection.ts';
import { type Problem, problemOf } from './gathered.ts';
import { pause } from './signals.ts';

/** A look at a resource that showed something new. */
export type Change =
  | { readonly kind: 'changed'; readonly resource: Resource }
  /** It cannot be read now; told once, until it can be read again or fails otherwise. */
  | { readonly kind: 'failing'; readonly problem: Problem };

/**
 * Polls resources where there is no event stream, for ever: tells each first state and each change of ETag or content. Ends without
 * an error when the signal aborts.
 * @throws ClosedError, TlsError, and HttpError `unauthorized`; all else is told as `failing`.
 */
export async function* watch(
  client: RedfishClient,
  paths: readonly string[],
  options: { readonly signal: AbortSignal; readonly pollMs?: number },
): AsyncGenerator<Change, void, undefined> {
  const { signal, pollMs = client.settings.pollMs } = options;
  const seen = new Map<string, string>();
  for (;;) {
    for (const path of paths) {
      try {
        const { body, etag } = await client.get(path, { signal });
        const state = JSON.stringify(body);
        if (seen.get(path) === state) continue;
        seen.set(path, state);
        yield { kind: 'changed', resource: { path, body, etag } };
      } catch (error) {
        if (signal.aborted) return;
        const problem = problemOf(path, error);
        const state = `! ${problem.code}`;
        if (seen.get(path) === state) continue;
        seen.set(path, state);
        yield { kind: 'failing', problem };
      }
    }
    try {
      await pause(pollMs, signal);
    } catch {
      return; // Only the signal ends a pause, and it ends the watch in peace.
    }
  }
}
