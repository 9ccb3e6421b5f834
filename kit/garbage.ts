/**
 * Collects all garbage at once, and the code of functions that are not used any more. It takes some 60 ms; V8 itself waits for the heap to grow, which
 * an idle program's does not. Does nothing without Node's flag `--expose-gc`.
 */
export function collectGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
