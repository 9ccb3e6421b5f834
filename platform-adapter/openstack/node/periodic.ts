import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';

/** Work that is done again and again. */
export interface PeriodicTask {
  readonly name: string;
  readonly intervalMs: number;
  /** Before the first time; default the interval. */
  readonly firstMs?: number;
  /** What it throws is logged, once until it succeeds again. */
  run(signal: AbortSignal): Promise<void>;
  /** After a failure, in ms, growing to the interval; default: the interval. */
  readonly retryMs?: number;
}

/** Tasks that run until they are stopped. */
export interface Periodic {
  /** Runs a task within so many milliseconds, at once unless told; what is asked for meanwhile is the same run, but for a run that has begun. */
  hurry(name: string, withinMs?: number): void;
  /** Ends when no task runs any more. */
  stop(): Promise<void>;
}

/** Starts the tasks: each by its own time, never twice at once. */
export function startPeriodic(
  tasks: readonly PeriodicTask[],
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Periodic {
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const hurries = new Map<string, (withinMs: number) => void>();

  function start(task: PeriodicTask): void {
    let timer: Timer;
    let busy = false;
    /** After the present run: within so many milliseconds; undefined: in its own time. */
    let again: number | undefined;
    let dueMs = 0;
    let failures = 0;

    function schedule(ms: number): void {
      if (stopping.signal.aborted) return;
      dueMs = clock.monotonicMs() + ms;
      timer = clock.timer(ms, begin);
    }

    function begin(): void {
      if (stopping.signal.aborted) return;
      busy = true;
      const work = once().finally(() => running.delete(work));
      running.add(work);
    }

    async function once(): Promise<void> {
      try {
        await task.run(stopping.signal);
        if (failures > 0) log.info('periodic task succeeds again', { task: task.name, failures });
        failures = 0;
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures += 1;
        const level = failures === 1 ? 'warn' : 'debug';
        log[level]('periodic task failed; it is tried again', { task: task.name, error });
      } finally {
        busy = false;
        schedule(again ?? delay());
        again = undefined;
      }
    }

    function delay(): number {
      if (failures === 0 || task.retryMs === undefined) return task.intervalMs;
      return Math.min(task.intervalMs, task.retryMs * 2 ** Math.min(failures - 1, 20));
    }

    hurries.set(task.name, (withinMs) => {
      if (busy) {
        again = Math.min(again ?? withinMs, withinMs);
        return;
      }
      if (withinMs > 0 && dueMs - clock.monotonicMs() <= withinMs) return;
      timer.cancel();
      if (withinMs > 0) schedule(withinMs);
      else begin();
    });
    stopping.signal.addEventListener('abort', () => timer.cancel(), { once: true });
    schedule(task.firstMs ?? task.intervalMs);
  }

  for (const task of tasks) start(task);

  return {
    hurry: (name, withinMs = 0) => {
      if (!stopping.signal.aborted) hurries.get(name)?.(withinMs);
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}
