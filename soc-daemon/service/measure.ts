import { isEnded } from '../../core/operation/journal.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { Daemon } from './daemon.ts';

/** The counters that the daemon's state goes into; `kit/metrics.ts` has them. */
export interface DaemonMetrics {
  operationEnded(end: { kind: string; state: string; code: string | null; seconds: number }): void;
  setOperations(counts: Readonly<Record<string, number>>): void;
  setBrokerConnected(connected: boolean): void;
  setOutboxDepth(casts: number): void;
  setNotReadyReasons(ids: readonly string[]): void;
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

/** Keeps the counters as the daemon's state changes; answers how to stop. */
export function measure(parts: {
  readonly daemon: Daemon;
  readonly store: Pick<NodeStore, 'onCommit' | 'getOperation' | 'unendedOperations' | 'casts'>;
  readonly metrics: DaemonMetrics;
  readonly clock: Clock;
}): () => void {
  const { daemon, store, metrics, clock } = parts;
  const ended = new Set<string>();

  function refresh(): void {
    const counts: Record<string, number> = {};
    for (const { state } of store.unendedOperations()) counts[state] = (counts[state] ?? 0) + 1;
    metrics.setOperations(counts);
    metrics.setOutboxDepth(store.casts(outboxShown).length);
    metrics.setNotReadyReasons(daemon.service.nodeStatus().not_ready_reasons.map(({ id }) => id));
    metrics.setHealth(daemon.service.health().checks);
    metrics.setBrokerConnected(daemon.adapters.some((adapter) => adapter.connected()));
  }

  const stopListening = store.onCommit(({ operations }) => {
    for (const id of operations) {
      const record = store.getOperation(id);
      if (!record || (!isEnded(record.state) && record.state !== 'stuck') || ended.has(id)) continue;
      ended.add(id);
      metrics.operationEnded({
        kind: record.kind,
        state: record.state,
        code: record.error?.code ?? null,
        seconds: (record.updatedAtMs - record.createdAtMs) / 1000,
      });
    }
    if (ended.size > 1000) ended.clear();
  });
  let timer = clock.timer(0, tick);
  function tick(): void {
    refresh();
    timer = clock.timer(refreshMs, tick);
  }
  return () => {
    stopListening();
    timer.cancel();
  };
}

const refreshMs = 5000;
