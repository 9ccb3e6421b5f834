import { type DpuError, type ErrorRecord, errorOf, errorRecord, toDpuError } from '../errors.ts';
import type { OperationKind } from '../instance-state.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Json } from '../units.ts';
import { attempt, StepAborted } from './attempt.ts';
import { isEnded, type JournalEntry, type OperationJournal, type OperationRecord, type Planner } from './journal.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { checkPlan, type Plan, type Step, type StepContext, type StepPhase } from './plan.ts';

/** What a runner works with. */
export interface RunnerParts<Kind extends string = OperationKind> {
  readonly journal: OperationJournal;
  readonly planner: Planner<Kind>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The host's power and the like: steps with the same key never run at once. */
  readonly locks: KeyedLock;
  /** By instance id: whoever holds it alone works on the instance; an operation for the whole of its run. */
  readonly gate: KeyedLock;
  /** How long an effect that ignores its abort is waited for, in milliseconds. */
  readonly graceMs: number;
}

/** How a run came to its end: the operation is over, waits for an operator, or the daemon stops and goes on later. */
export type RunEnd = 'ended' | 'stuck' | 'stopped';

/** One operation under way. */
export interface Runner {
  /** Ends with the run. Rejects only when the journal failed: then nothing may go on. */
  readonly finished: Promise<RunEnd>;
  /** Whether the operation can no more be undone. */
  pastPivot(): boolean;
  /** Undoes it from now on, unless it is past its pivot; answers whether it will. */
  cancel(): boolean;
  /** Begins no further step and no further try. */
  drain(): void;
  /** Cuts off what is under way; the journal says it was begun. */
  cutOff(): void;
}

interface StepState {
  phase: StepPhase;
  attempts: number;
  output: Json;
  error: ErrorRecord | null;
}

/** Runs an operation from wherever the journal says it is. */
export function startRunner<Kind extends string>(parts: RunnerParts<Kind>, operation: OperationRecord<Kind>): Runner {
  const { journal, planner, clock, random, locks } = parts;
  const log = parts.log.child({ operation: operation.id, kind: operation.kind, instance: operation.instance });
  const states = new Map<string, StepState>();
  const flights = new Map<string, Promise<void>>();
  /** Steps that are journaled as begun with the end of the one before them, by name; ends when that is committed. */
  const begun = new Map<string, Promise<void>>();
  /** Aborted by cancel, by a failure beside, or by `cutOff`: ends effects of the forward direction. */
  const forward = new AbortController();
  const stop = new AbortController();
  const draining = new AbortController();
  let cancelled = operation.cancelRequested;
  let pivotBegun = false;
  let broken: { readonly error: unknown } | undefined;
  let failure: { readonly error: DpuError; readonly step: string | undefined } | undefined;
  /** Why it goes back; an undo that fails does not change it. */
  let undoneFor: DpuError | null = null;
  let wake = (): void => {};

  const failureRecord = (): ErrorRecord | null => (failure ? errorRecord(failure.error, failure.step) : null);
  const state = (name: string): StepState => {
    const known = states.get(name);
    if (known) return known;
    const fresh: StepState = { phase: 'pending', attempts: 0, output: null, error: null };
    states.set(name, fresh);
    return fresh;
  };

  function context(signal: AbortSignal): StepContext {
    return {
      signal,
      output: (name) => state(name).output,
      secret: (id) => journal.readSecret(id),
      failure: () => undoneFor,
      left: () => [...left],
    };
  }

  async function end(
    outcome: 'succeeded' | 'failed' | 'cancelled' | 'stuck',
    more: JournalEntry[] = [],
    result: Json = null,
  ) {
    const error = outcome === 'succeeded' || outcome === 'cancelled' ? null : (failureRecord() ?? operation.error);
    await journal.write([
      ...more,
      { type: 'records', changes: planner.settle(operation, outcome, error) },
      { type: 'state', operation: operation.id, state: outcome, error, result },
    ]);
    if (outcome === 'stuck') log.error('operation is stuck', { code: error?.code, step: error?.step });
    else log.info('operation ended', { outcome, code: error?.code });
    return outcome === 'stuck' ? ('stuck' as const) : ('ended' as const);
  }

  /** Holds what the step needs for itself alone; null when it was given up before. */
  async function lockFor(step: Step, signal: AbortSignal): Promise<(() => void) | null> {
    if (step.exclusive === undefined) return () => {};
    try {
      return await locks.acquire(step.exclusive, signal);
    } catch {
      return null; // acquire rejects only with the abort that we asked for
    }
  }

  async function runStep(plan: Plan, step: Step): Promise<void> {
    const own = state(step.name);
    const release = await lockFor(step, AbortSignal.any([forward.signal, draining.signal]));
    if (!release) return;
    try {
      const before = begun.get(step.name);
      begun.delete(step.name);
      await before;
      if (draining.signal.aborted || forward.signal.aborted) return;
      if (before === undefined) await journal.write(begin(plan, step));
      const outcome = await attempt({
        clock,
        random,
        what: `${operation.kind} step ${step.name}`,
        deadlineMs: step.deadlineMs,
        retry: step.retry,
        graceMs: parts.graceMs,
        cutOff: AbortSignal.any([forward.signal, stop.signal]),
        noMoreTries: draining.signal,
        effect: (signal) => step.run(context(signal)),
      });
      own.attempts += outcome.tries - 1;
      if (outcome.end === 'cut-off') return;
      if (outcome.end === 'failed') {
        log.warn('step failed', { step: step.name, code: outcome.error.code, error: outcome.error });
        failure ??= { error: outcome.error, step: step.name };
        own.error = errorRecord(outcome.error, step.name);
        await journal.write([stepEntry(step.name, own)]);
        return;
      }
      own.phase = 'done';
      own.output = outcome.result.output ?? null;
      own.error = null;
      const entries: JournalEntry[] = [
        { type: 'records', changes: outcome.result.changes ?? [] },
        { ...stepEntry(step.name, own), output: own.output },
      ];
      const last = plan.steps.every((each) => state(each.name).phase === 'done');
      if (!last) await writeAndBegin(plan, entries);
      else await end('succeeded', entries, plan.result?.((name) => state(name).output) ?? null);
    } finally {
      release();
    }
  }

  /** Marks a step as begun; answers what the journal is to say before its effect. */
  function begin({ pivot }: Plan, { name, intent }: Step): readonly JournalEntry[] {
    const own = state(name);
    if (name === pivot) pivotBegun = true;
    own.phase = 'doing';
    own.attempts += 1;
    return [
      ...(intent ? [{ type: 'records', changes: intent } as const] : []),
      { type: 'step', operation: operation.id, step: name, phase: 'doing', attempts: own.attempts },
    ];
  }

  /** Writes the entries, and in the same commit that the steps which may follow now are begun: one commit a step instead of two. */
  async function writeAndBegin(plan: Plan, entries: readonly JournalEntry[]): Promise<void> {
    const goesOn = !failure && !cancelled && !draining.signal.aborted && !forward.signal.aborted;
    const next = goesOn ? plan.steps.filter((step) => step.exclusive === undefined && ready(step)) : [];
    const written = journal.write([...entries, ...next.flatMap((step) => begin(plan, step))]);
    for (const { name } of next) begun.set(name, written);
    await written;
  }

  function stepEntry(name: string, own: StepState): Extract<JournalEntry, { type: 'step' }> {
    return {
      type: 'step',
      operation: operation.id,
      step: name,
      phase: own.phase,
      attempts: own.attempts,
      error: own.error,
    };
  }

  /** Whether a step may be begun, or again after a cut-off: not while it is in flight, or journaled as begun already. */
  function ready(step: Step): boolean {
    const { phase } = state(step.name);
    if (phase !== 'pending' && phase !== 'doing') return false;
    return !flights.has(step.name) && !begun.has(step.name) && step.after.every((name) => state(name).phase === 'done');
  }

  function launch(name: string, work: Promise<void>): void {
    const flight = work
      .catch((error: unknown) => {
        broken ??= { error };
      })
      .finally(() => {
        flights.delete(name);
        wake();
      });
    flights.set(name, flight);
  }

  /** Waits until a flight ends or somebody cancels. */
  async function nextEvent(): Promise<void> {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    rethrow();
  }

  /** Waits for everything that is under way. */
  async function landing(): Promise<void> {
    await Promise.all(flights.values());
    rethrow();
  }

  /** What a flight can throw is the journal's failure or a broken plan: nothing may go on. */
  function rethrow(): void {
    if (broken) throw broken.error;
  }

  async function goForward(plan: Plan): Promise<RunEnd> {
    for (;;) {
      if (plan.steps.every((step) => state(step.name).phase === 'done')) {
        await landing();
        return 'ended';
      }
      if (draining.signal.aborted) {
        await landing();
        if (plan.steps.every((step) => state(step.name).phase === 'done')) return 'ended';
        return failure && pivotBegun ? end('stuck') : 'stopped';
      }
      if ((failure || cancelled) && !pivotBegun) {
        forward.abort(new StepAborted('cancelled'));
        await landing();
        return draining.signal.aborted ? 'stopped' : goBack(plan);
      }
      if (failure) {
        await landing();
        return end('stuck');
      }
      for (const step of plan.steps) {
        const { name } = step;
        if (!flights.has(name) && (begun.has(name) || ready(step))) launch(name, runStep(plan, step));
      }
      await nextEvent();
    }
  }

  async function undoStep(step: Step): Promise<void> {
    const own = state(step.name);
    const release = await lockFor(step, draining.signal);
    if (!release) return;
    try {
      if (draining.signal.aborted) return;
      const { undo } = step;
      let changes: JournalEntry[] = [];
      if (undo) {
        own.phase = 'undoing';
        await journal.write([stepEntry(step.name, own)]);
        const outcome = await attempt({
          clock,
          random,
          what: `${operation.kind} undo of ${step.name}`,
          deadlineMs: step.deadlineMs,
          retry: step.retry,
          graceMs: parts.graceMs,
          cutOff: stop.signal,
          noMoreTries: draining.signal,
          effect: (signal) => undo.call(step, context(signal)),
        });
        if (outcome.end === 'cut-off') return;
        if (outcome.end === 'failed') {
          log.error('undo failed', { step: step.name, code: outcome.error.code, error: outcome.error });
          own.error = errorRecord(outcome.error, step.name);
          if (step.leaves === true) {
            await journal.write([stepEntry(step.name, own)]);
            left.add(step.name);
            return;
          }
          undoFailures.add(step.name);
          failure = { error: outcome.error, step: step.name };
          return;
        }
        changes = [{ type: 'records', changes: outcome.result.changes ?? [] }];
      }
      own.phase = 'undone';
      await journal.write([...changes, stepEntry(step.name, own)]);
    } finally {
      release();
    }
  }

  const undoFailures = new Set<string>();
  /** Steps that stay as they are, and keep no other from being undone. */
  const left = new Set<string>();

  async function goBack(plan: Plan): Promise<RunEnd> {
    const error = failureRecord() ?? operation.error;
    if (operation.state !== 'unwinding') {
      await journal.write([
        { type: 'state', operation: operation.id, state: 'unwinding', error: cancelled && !failure ? null : error },
      ]);
    }
    const cause = failure;
    undoneFor = cause?.error ?? (error === null ? null : errorOf(error));
    const settledBack = (name: string): boolean => ['pending', 'undone'].includes(state(name).phase) || left.has(name);
    for (;;) {
      if (plan.steps.every((step) => settledBack(step.name))) {
        await landing();
        failure = cause;
        return end(cancelled && !cause && !operation.error ? 'cancelled' : 'failed');
      }
      if (!draining.signal.aborted) {
        for (const step of plan.steps) {
          const dependants = plan.steps.filter((each) => each.after.includes(step.name));
          if (settledBack(step.name) || flights.has(step.name) || undoFailures.has(step.name)) continue;
          if (dependants.every((each) => settledBack(each.name))) launch(step.name, undoStep(step));
        }
      }
      if (flights.size === 0) return draining.signal.aborted ? 'stopped' : end('stuck');
      await nextEvent();
    }
  }

  async function run(): Promise<RunEnd> {
    let leave: () => void;
    try {
      leave = await parts.gate.acquire(operation.instance, draining.signal);
    } catch {
      return 'stopped'; // acquire rejects only when the daemon stops
    }
    try {
      return await runInGate();
    } finally {
      leave();
    }
  }

  async function runInGate(): Promise<RunEnd> {
    for (const step of operation.steps) states.set(step.name, { ...step });
    let { input } = operation;
    let plan: Plan;
    try {
      if (input === null) {
        if (cancelled) return end('cancelled');
        input = await planner.prepare(operation, stop.signal);
        plan = planner.plan(operation, input);
        checkPlan(plan);
        if (draining.signal.aborted) return 'stopped';
        await writeAndBegin(plan, [
          { type: 'started', operation: operation.id, input, steps: plan.steps.map((step) => step.name) },
        ]);
      } else {
        plan = planner.plan(operation, input);
        checkPlan(plan);
      }
    } catch (error) {
      if (draining.signal.aborted) return 'stopped';
      failure = { error: toDpuError(error, `planning a ${operation.kind} failed`), step: undefined };
      return end(input === null ? 'failed' : 'stuck');
    }
    log.info('operation runs', { steps: plan.steps.length, resumed: operation.input !== null });
    pivotBegun = state(plan.pivot).phase !== 'pending';
    const begunToUndo = [...states.values()].some(({ phase }) => phase === 'undoing' || phase === 'undone');
    const back = operation.state === 'unwinding' || begunToUndo || (operation.error?.step !== undefined && !pivotBegun);
    if (back) return goBack(plan);
    if (operation.state !== 'running' && operation.input !== null) {
      await journal.write([{ type: 'state', operation: operation.id, state: 'running', error: null }]);
    }
    return goForward(plan);
  }

  return {
    finished: run(),
    pastPivot: () => pivotBegun,
    cancel() {
      if (pivotBegun || isEnded(operation.state)) return false;
      cancelled = true;
      wake();
      return true;
    },
    drain() {
      draining.abort(new StepAborted('stopping'));
      wake();
    },
    cutOff: () => stop.abort(new StepAborted('stopping')),
  };
}
