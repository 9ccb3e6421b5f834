import { isEnded } from '../../core/operation/journal.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { Daemon } from './daemon.ts';

/** The counters that the daemon's state goes into; `kit/metrics.ts` has them. */
export interface DaemonMetrics {
  operationEnded(end: { kind: string; state: string; code: string | null; seconds: number }): void;
  setOperations(counts: Readonly<Record<string, number>>): void;
  setBrokerConnected(connected: boolean): void;
  setOutboxDepth(casts: number): void;
  setNotReadyReasons(ids: readonly string[]): void;
  beforeRender(look: () => void): () => void;
  setHealth(checks: readonly { readonly id: string; readonly state: string; readonly reason: string | null }[]): void;
}

/** Hooks of the store that time every write, from the moment that it is asked for until it is on the disk. */
export function timeCommits(
  metrics: { journalCommitted(entries: number, seconds: number): void },
  clock: Clock,
): { beforeWrite(write: object): void; afterWrite(write: object): void } {
  const begun = new WeakMap<object, number>();
  return {
    beforeWrite(write) {
      begun.set(write, clock.monotonicMs());
    },
    afterWrite(write) {
      const since = begun.get(write);
      if (since !== undefined) metrics.journalCommitted(1, (clock.monotonicMs() - since) / 1000);
    },
  };
}

const outboxShown = 10_000;

/** Counts ends of operations as they come, and reads the daemon's state when the counters are asked for; answers how to stop. */
export function measure(parts: {
  readonly daemon: Daemon;
  readonly store: Pick<NodeStore, 'unendedOperations' | 'casts'>;
  readonly metrics: DaemonMetrics;
}): () => void {
  const { daemon, store, metrics } = parts;
  const ended = new Set<string>();

  function look(): void {
    const counts: Record<string, number> = {};
    for (const { state } of store.unendedOperations()) counts[state] = (counts[state] ?? 0) + 1;
    metrics.setOperations(counts);
    metrics.setOutboxDepth(store.casts(outboxShown).length);
    metrics.setNotReadyReasons(daemon.service.nodeStatus().not_ready_reasons.map(({ id }) => id));
    metrics.setHealth(daemon.service.health().checks);
    metrics.setBrokerConnected(daemon.adapters.some((adapter) => adapter.connected()));
  }

  const stopListening = daemon.service.subscribe(({ type, data }) => {
    if (type !== 'operation') return;
    const { id, kind, state, error, created_at, updated_at } = data as Operation;
    if ((!isEnded(state) && state !== 'stuck') || ended.has(id)) return;
    ended.add(id);
    const seconds = (Date.parse(updated_at) - Date.parse(created_at)) / 1000;
    metrics.operationEnded({ kind, state, code: error?.code ?? null, seconds });
    if (ended.size > 1000) ended.clear();
  });
  const stopLooking = metrics.beforeRender(look);
  return () => {
    stopListening();
    stopLooking();
  };
}
