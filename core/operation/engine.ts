import { DpuError } from '../errors.ts';
import type { OperationKind } from '../instance-state.ts';
import type { OperationId } from '../units.ts';
import { isEnded, type OperationRecord } from './journal.ts';
import { createKeyedLock } from './keyed-lock.ts';
import { type Runner, type RunnerParts, startRunner } from './runner.ts';

/** What the engine works with. */
export interface EngineParts<Kind extends string = OperationKind> extends Omit<RunnerParts<Kind>, 'locks' | 'graceMs'> {
  /** How many operations run at once; the others wait in the order in which they came. */
  readonly maxConcurrent: number;
  /** How long an effect that ignores its abort is waited for, in milliseconds; 10 s unless told. */
  readonly graceMs?: number;
  /** Reads an operation as the journal has it now. */
  readonly load: (id: OperationId) => OperationRecord<Kind> | null;
  /** Ends a stuck operation that a destroy overtakes. */
  readonly supersede: (id: OperationId) => Promise<void>;
  /** The journal failed: nothing may go on; the process should end. */
  readonly onFatal: (error: unknown) => void;
}

/** Runs journaled operations, each from wherever it is to its end. */
export interface Engine<Kind extends string = OperationKind> {
  /** Takes an operation that is in the journal and not ended: a new one, or one found at start. */
  submit(operation: OperationRecord<Kind>): void;
  /**
   * Undoes an operation. The journal must already say `cancelRequested`, or `recordCancel` is called before anything is undone.
   * @throws DpuError `bad_state` when it is past its pivot or not here.
   */
  cancel(id: OperationId): void;
  /** Whether a cancel would be heeded now. */
  mayCancel(id: OperationId): boolean;
  /** Goes on with a stuck operation; ends once the journal says so. @throws DpuError `bad_state` when it is not stuck. */
  retry(id: OperationId): Promise<void>;
  /** Ends when the operation ended or is stuck; at once when it is not here. */
  settled(id: OperationId, signal?: AbortSignal): Promise<void>;
  /** Operations that run now, and those that wait. */
  counts(): { readonly running: number; readonly waiting: number; readonly stuck: number };
  /** Begins nothing more, lets steps under way end for `drainMs`, then cuts them off. Operations go on at the next start. */
  stop(drainMs: number): Promise<void>;
}

/** Makes an engine; it is idle until something is submitted. */
export function createEngine<Kind extends string = OperationKind>(parts: EngineParts<Kind>): Engine<Kind> {
  const locks = createKeyedLock();
  const runnerParts: RunnerParts<Kind> = { ...parts, locks, graceMs: parts.graceMs ?? 10_000 };
  const waiting: OperationRecord<Kind>[] = [];
  const running = new Map<OperationId, Runner>();
  const stuck = new Set<OperationId>();
  const watchers = new Map<OperationId, Set<() => void>>();
  let stopping = false;
  let broken = false;

  /** Sent on by an operator, and not yet journaled as such. */
  const retried = new Set<OperationId>();

  const isHere = (id: OperationId): boolean =>
    running.has(id) || retried.has(id) || waiting.some((operation) => operation.id === id);

  function fatal(error: unknown): void {
    if (broken) return;
    broken = true;
    parts.onFatal(error);
  }

  /** Whether the operation that this one waits for is out of the way; a stuck one is put out of it. */
  function mayStart(operation: OperationRecord<Kind>): boolean {
    const before = operation.waitsFor;
    if (before === null || before === operation.id) return true;
    if (isHere(before)) return false;
    // one that was cancelled before it began overtakes nothing: what is stuck stays for an operator
    if (!stuck.has(before) || operation.cancelRequested) return true;
    stuck.delete(before);
    parts.supersede(before).then(() => pump(), fatal);
    superseding.add(before);
    return false;
  }
  const superseding = new Set<OperationId>();

  function pump(): void {
    while (!stopping && !broken && running.size < parts.maxConcurrent) {
      const place = waiting.findIndex((operation) => mayStart(operation) && !isSuperseding(operation));
      const operation = waiting[place];
      if (!operation) return;
      waiting.splice(place, 1);
      begin(operation);
    }
  }

  function isSuperseding(operation: OperationRecord<Kind>): boolean {
    const before = operation.waitsFor;
    if (before === null || !superseding.has(before)) return false;
    const now = parts.load(before);
    if (now && !isEnded(now.state)) return true;
    superseding.delete(before);
    return false;
  }

  function begin(operation: OperationRecord<Kind>): void {
    const runner = startRunner(runnerParts, operation);
    running.set(operation.id, runner);
    runner.finished.then(
      (end) => {
        running.delete(operation.id);
        if (end === 'stuck') stuck.add(operation.id);
        if (end !== 'stopped') notify(operation.id);
        pump();
      },
      (error: unknown) => {
        running.delete(operation.id);
        fatal(error);
      },
    );
  }

  function notify(id: OperationId): void {
    const listeners = watchers.get(id);
    watchers.delete(id);
    for (const listener of listeners ?? []) listener();
  }

  return {
    submit(operation) {
      if (isHere(operation.id)) return;
      if (operation.state === 'stuck') stuck.add(operation.id);
      else waiting.push(operation);
      pump();
    },
    mayCancel(id) {
      const runner = running.get(id);
      return runner ? !runner.pastPivot() : waiting.some((operation) => operation.id === id);
    },
    cancel(id) {
      const runner = running.get(id);
      if (runner) {
        if (!runner.cancel())
          throw new DpuError('bad_state', 'the operation is past the point where it could be undone');
        return;
      }
      const place = waiting.findIndex((operation) => operation.id === id);
      const operation = waiting[place];
      if (!operation) throw new DpuError('bad_state', 'the operation does not run');
      waiting[place] = { ...operation, cancelRequested: true };
      pump();
    },
    retry(id) {
      const operation = parts.load(id);
      if (!stuck.has(id) || !operation) throw new DpuError('bad_state', 'the operation is not stuck');
      stuck.delete(id);
      retried.add(id);
      return parts.journal.write([{ type: 'state', operation: id, state: 'queued' }]).then(() => {
        retried.delete(id);
        waiting.push({ ...operation, state: 'queued' });
        pump();
      }, fatal);
    },
    settled(id, signal) {
      return new Promise((resolve, reject) => {
        if (!isHere(id)) {
          resolve();
          return;
        }
        const listeners = watchers.get(id) ?? new Set();
        watchers.set(id, listeners);
        const done = (): void => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        };
        const giveUp = (): void => {
          listeners.delete(done);
          reject(signal?.reason);
        };
        if (signal?.aborted) {
          giveUp();
          return;
        }
        listeners.add(done);
        signal?.addEventListener('abort', giveUp, { once: true });
      });
    },
    counts: () => ({ running: running.size, waiting: waiting.length, stuck: stuck.size }),
    async stop(drainMs) {
      stopping = true;
      const runners = [...running.values()];
      for (const runner of runners) runner.drain();
      const timer = parts.clock.timer(drainMs, () => {
        for (const runner of runners) runner.cutOff();
      });
      await Promise.allSettled(runners.map((runner) => runner.finished));
      timer.cancel();
    },
  };
}
