import { type RpcClient, UnroutableError } from 'oslo-messaging';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeStore, OutboxCast } from '../../core/ports/node-store.ts';
import type { Random } from '../../core/ports/random.ts';

/** What the reporter works with. */
export interface ReporterParts {
  readonly client: RpcClient;
  readonly outbox: Pick<NodeStore, 'casts' | 'castDelivered' | 'onCommit' | 'reportAllInstances'>;
  readonly service: ComputeService;
  readonly reportIntervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Tells the platform of the node and its instances. */
export interface Reporter {
  /** The broker is there again: its queues may be gone, so everything is told anew. */
  reconnected(): void;
  /** Ends when the platform has confirmed how the node is now and all casts before; rejects with the signal's reason. */
  flush(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

const batch = 64;
const firstDelayMs = 250;
const maxDelayMs = 15_000;

/**
 * Starts to deliver the outbox, oldest first, each cast until the broker confirmed it and a queue took it: at least once,
 * in order. The node's status goes out on change and every interval; only the newest counts, so it is not kept.
 */
export function startReporter(parts: ReporterParts): Reporter {
  const { client, outbox, service, clock, log } = parts;
  const stopping = new AbortController();
  const { signal } = stopping;
  let wakeUp = (): void => {};
  let statusDue = true;
  let delay = firstDelayMs;
  let failing = false;
  let pausing = new AbortController();
  /** The cast that is being sent: a repeat has the same id, so that a receiver that has seen it drops it. */
  let sending: { readonly seq: number; readonly uniqueId: string } | undefined;

  /** Those who wait for what was due when they came. */
  let waiting: (() => void)[] = [];

  const wake = (): void => wakeUp();
  const subscriptions = [
    outbox.onCommit((notice) => {
      if (notice.casts) wake();
    }),
    service.subscribe((event) => {
      if (event.type !== 'node') return;
      statusDue = true;
      wake();
    }),
  ];
  let timer: Timer = clock.timer(parts.reportIntervalMs, tick);
  function tick(): void {
    statusDue = true;
    wake();
    timer = clock.timer(parts.reportIntervalMs, tick);
  }

  async function send(method: string, args: Readonly<Record<string, unknown>>, uniqueId?: string): Promise<void> {
    await client.cast(method, args, { mandatory: true, signal, ...(uniqueId === undefined ? {} : { uniqueId }) });
  }

  async function deliver(cast: OutboxCast): Promise<void> {
    if (sending?.seq !== cast.seq) sending = { seq: cast.seq, uniqueId: parts.random.uuid().replaceAll('-', '') };
    await send(cast.method, cast.args, sending.uniqueId);
    await outbox.castDelivered(cast.seq);
  }

  async function deliverAll(): Promise<void> {
    if (statusDue) {
      statusDue = false;
      try {
        await send('report_node_status', { ...service.nodeStatus() });
      } catch (error) {
        statusDue = true;
        throw error;
      }
    }
    for (;;) {
      const casts = outbox.casts(batch);
      if (casts.length === 0) return;
      for (const cast of casts) await deliver(cast);
    }
  }

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wakeUp = resolve;
      });
      const told = waiting;
      waiting = [];
      try {
        await deliverAll();
        for (const each of told) each();
        delay = firstDelayMs;
        if (failing) log.info('reports reach the platform again');
        failing = false;
        if (statusDue || waiting.length > 0 || outbox.casts(1).length > 0) continue;
        await woken;
      } catch (error) {
        if (signal.aborted) return;
        waiting = [...told, ...waiting];
        if (!failing) {
          const reason = error instanceof UnroutableError ? 'nobody takes them' : 'the broker does not confirm them';
          log.warn('reports wait in the outbox', { reason, error });
        }
        failing = true;
        await pause();
      }
    }
  }

  async function pause(): Promise<void> {
    const most = delay;
    delay = Math.min(delay * 2, maxDelayMs);
    pausing = new AbortController();
    try {
      await clock.sleep(firstDelayMs / 2 + parts.random.unit() * most, AbortSignal.any([signal, pausing.signal]));
    } catch {
      return; // the end of the reporter, or a new connection: no reason to wait any longer
    }
  }

  const running = loop().catch((error: unknown) => log.error('reporting ended', { error }));

  return {
    reconnected() {
      statusDue = true;
      delay = firstDelayMs;
      pausing.abort();
      outbox.reportAllInstances().then(wake, (error: unknown) => log.error('queueing reports failed', { error }));
    },
    flush(until) {
      return new Promise((resolve, reject) => {
        until.addEventListener('abort', () => reject(until.reason), { once: true });
        waiting.push(resolve);
        statusDue = true;
        pausing.abort();
        wake();
      });
    },
    async stop() {
      stopping.abort();
      timer.cancel();
      for (const unsubscribe of subscriptions) unsubscribe();
      wake();
      await running;
    },
  };
}
