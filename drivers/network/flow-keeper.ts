import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import { abortable } from './abortable.ts';
import type { Meter, OpenFlowTool } from './openflow-tool.ts';
import type { Pipeline } from './pipeline.ts';
import { tellTroubles } from './troubles.ts';

/** What keeps a bridge's flows as they shall be. */
export interface FlowKeeper {
  /** Whether the bridge had them the last time. */
  readonly isApplied: boolean;
  /** Ends when the bridge has what `wanted` says at this moment. @throws DpuError `unavailable`, `timeout`. */
  apply(signal?: AbortSignal): Promise<void>;
  /** Looks whether something is to be done, soon; failures are logged and tried again. */
  touch(): void;
  /** Everything may be gone: nothing that was known of the bridge counts any more. */
  forget(): void;
  close(): void;
}

/** How flows are kept. */
export interface FlowKeeperOptions {
  readonly tool: OpenFlowTool;
  /** What the bridge shall have now; null while that is not known. */
  readonly wanted: () => Pipeline | null;
  readonly clock: Clock;
  readonly log: Log;
  /** The bridge is looked at again so often, whatever is known of it; milliseconds. */
  readonly intervalMs: number;
}

const gatherMs = 20;
const retryMs = 1_000;
const unset = 'flows of the bridge could not be set';

/** Makes a keeper; it does nothing before it is asked or touched. */
export function createFlowKeeper({ tool, wanted, clock, log, intervalMs }: FlowKeeperOptions): FlowKeeper {
  let applied: { readonly flows: string; meters: ReadonlyMap<number, Meter> } | null = null;
  let isApplied = false;
  let epoch = 0;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let timer: Timer | undefined;
  const stop = new AbortController();
  const troubles = tellTroubles(log);

  async function pass(): Promise<void> {
    const pipeline = wanted();
    const begun = epoch;
    if (pipeline === null) return;
    const flows = [...pipeline.flows].sort().join('\n');
    const known = applied;
    const have = known?.meters ?? (await tool.meters(stop.signal));
    const stale = [...have.keys()].filter((id) => !pipeline.meters.has(id));
    const changed = [...pipeline.meters].filter(([id, meter]) => !isSame(have.get(id), meter));
    if (known?.flows === flows && stale.length === 0 && changed.length === 0) return;
    isApplied = false;
    applied = null;
    for (const [id, meter] of changed) await tool.setMeter(id, meter, have.has(id), stop.signal);
    if (known?.flows !== flows) await tool.replaceFlows(pipeline.flows, stop.signal);
    for (const id of stale) await tool.deleteMeter(id, stop.signal);
    if (begun !== epoch) return; // forgotten meanwhile: another pass follows
    applied = { flows, meters: pipeline.meters };
    isApplied = true;
  }

  function begin(): Promise<void> {
    const mine = pass().finally(() => {
      if (running === mine) running = undefined;
    });
    running = mine;
    return mine;
  }

  /** A pass that begins after this call. */
  function run(): Promise<void> {
    if (!running) return begin();
    next ??= running
      .catch(() => undefined) // whoever asked for that pass was told
      .then(() => {
        next = undefined;
        return begin();
      });
    return next;
  }

  function schedule(ms: number, afresh = false): void {
    if (stop.signal.aborted) return;
    timer?.cancel();
    timer = clock.timer(ms, () => {
      timer = undefined;
      if (afresh) applied = null;
      run().then(
        () => {
          troubles.over(unset);
          schedule(intervalMs, true);
        },
        (error) => {
          if (stop.signal.aborted) return;
          troubles.failed(unset, error);
          schedule(retryMs);
        },
      );
    });
  }

  return {
    get isApplied() {
      return isApplied;
    },
    async apply(signal) {
      await abortable(run(), signal);
    },
    touch: () => schedule(gatherMs),
    forget() {
      epoch += 1;
      applied = null;
      isApplied = false;
    },
    close() {
      stop.abort(new Error('closed'));
      timer?.cancel();
    },
  };
}

function isSame(one: Meter | undefined, other: Meter): boolean {
  return one !== undefined && one.unit === other.unit && one.rate === other.rate && one.burst === other.burst;
}
