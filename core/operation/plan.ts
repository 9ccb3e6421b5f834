import { DpuError, type ErrorRecord } from '../errors.ts';
import type { RecordChange } from '../records.ts';
import type { Json } from '../units.ts';

/** When to try a step again: only errors whose table row says `backoff`, until the step's deadline. */
export interface RetryPolicy {
  readonly firstDelayMs: number;
  readonly factor: number;
  readonly maxDelayMs: number;
}

/** What a step is given. */
export interface StepContext {
  /** Aborted at the deadline, on cancel, when a step beside it failed, and when the daemon stops. */
  readonly signal: AbortSignal;
  /** What a dependency answered, from the journal. */
  output(step: string): Json;
  /** The clear text of a sealed part of the request. @throws DpuError `not_found` once it was erased. */
  secret(id: string): Promise<string>;
  /**
   * Why the operation is being undone; null while it goes forward, and when it was cancelled. After a restart the error has the code and
   * message of the one that was met, and no cause.
   */
  failure(): DpuError | null;
  /** Steps whose undo left something (`leaves`), when this one is undone after them. */
  left(): readonly string[];
}

/** What a step leaves behind, committed together with its `done`. */
export interface StepResult {
  readonly output?: Json;
  readonly changes?: readonly RecordChange[];
}

/** What an undo leaves behind, committed together with its `undone`. */
export interface UndoResult {
  readonly changes?: readonly RecordChange[];
}

/** A step of a plan. `run` and `undo` are ensures: each may be called again after a crash at any moment. */
export interface Step {
  /** Unique in its plan and stable over releases of the same plan version: `disk:bind:<id>`. */
  readonly name: string;
  /** Names of the steps that must be done before. */
  readonly after: readonly string[];
  /** Time for `run`, and for `undo`, retries included, in milliseconds; counted anew on resume. */
  readonly deadlineMs: number;
  readonly retry: RetryPolicy;
  /** Steps with the same key, of whatever operation, never run at once. */
  readonly exclusive?: string;
  /** Committed with `doing`, before the effect: what must be known of it even if we die in it. */
  readonly intent?: readonly RecordChange[];
  run(context: StepContext): Promise<StepResult>;
  /** Takes back what `run` did, whether it ended or was only begun. Absent: nothing to take back. */
  undo?(context: StepContext): Promise<UndoResult>;
  /**
   * Whether the others are undone all the same when this undo fails for good: the step stays `undoing` with its error, and the operation
   * ends. Else it is stuck. Only for what others may go without.
   */
  readonly leaves?: boolean;
}

/** A graph of steps. Before its pivot a failure undoes; once the pivot has begun it only goes forward. */
export interface Plan {
  readonly steps: readonly Step[];
  /** Name of the pivot. Every other step must be before it or behind it. */
  readonly pivot: string;
  /** The operation's `result`, from the outputs of its steps. */
  result?(output: (step: string) => Json): Json;
}

/** Where a step is. */
export type StepPhase = 'pending' | 'doing' | 'done' | 'undoing' | 'undone';

/** A step as the journal has it. */
export interface StepRecord {
  readonly name: string;
  readonly phase: StepPhase;
  readonly attempts: number;
  readonly output: Json;
  readonly error: ErrorRecord | null;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
}

/** Transitive dependencies of every step. @throws DpuError `internal` for a name twice, an unknown dependency, a cycle, a bad pivot. */
export function checkPlan(plan: Plan): void {
  const byName = new Map(plan.steps.map((step) => [step.name, step]));
  if (byName.size !== plan.steps.length) throw new DpuError('internal', 'plan has a step name twice');
  const before = new Map<string, ReadonlySet<string>>();
  const visiting = new Set<string>();
  const visit = (name: string): ReadonlySet<string> => {
    const known = before.get(name);
    if (known) return known;
    const step = byName.get(name);
    if (!step) throw new DpuError('internal', `plan has no step ${name}`);
    if (visiting.has(name)) throw new DpuError('internal', `plan has a cycle at ${name}`);
    visiting.add(name);
    const all = new Set<string>();
    for (const dependency of step.after) {
      all.add(dependency);
      for (const further of visit(dependency)) all.add(further);
    }
    visiting.delete(name);
    before.set(name, all);
    return all;
  };
  for (const step of plan.steps) visit(step.name);
  const beforePivot = visit(plan.pivot);
  for (const step of plan.steps) {
    if (step.name === plan.pivot || beforePivot.has(step.name)) continue;
    if (!visit(step.name).has(plan.pivot)) {
      throw new DpuError('internal', `step ${step.name} is neither before nor behind the pivot ${plan.pivot}`);
    }
  }
}
