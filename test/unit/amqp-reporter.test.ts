/** The reports to the platform: in order, until they arrived, on a clock that the test moves. */
import { ConnectionLostError, type RpcClient, UnroutableError } from 'oslo-messaging';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import type { CommitNotice, OutboxCast } from '../../core/ports/node-store.ts';
import { type Reporter, startReporter } from '../../platform-adapter/amqp/reporter.ts';
import { createFakeService } from '../support/fake-service.ts';
import { type VirtualClock, virtualClock } from '../support/virtual-clock.ts';

interface Sent {
  readonly method: string;
  readonly state: unknown;
  readonly uniqueId: string | undefined;
  readonly mandatory: boolean | undefined;
}

const intervalMs = 60_000;
const unroutable = new UnroutableError('dpu', 'platform');

/** A reporter between an outbox in memory and a broker that fails as ordered. */
function fixture(unit = 0.5) {
  const clock: VirtualClock = virtualClock();
  const service = createFakeService();
  const tried: Sent[] = [];
  const arrived: Sent[] = [];
  const failures: Error[] = [];
  const listeners = new Set<(notice: CommitNotice) => void>();
  let casts: OutboxCast[] = [];
  let seq = 0;
  let uuids = 0;
  let all = 0;

  const client: RpcClient = {
    call: () => Promise.reject(new Error('not used')),
    canSendVersion: () => true,
    close: () => Promise.resolve(),
    cast: async (method, args, options) => {
      const sent = { method, state: args.state, uniqueId: options?.uniqueId, mandatory: options?.mandatory };
      tried.push(sent);
      await Promise.resolve();
      const failure = failures.shift();
      if (failure) throw failure;
      arrived.push(sent);
    },
  };
  const put = (...states: readonly string[]): void => {
    for (const state of states) {
      seq += 1;
      casts.push({ seq, method: 'report_instance_status', args: { state }, instance: null });
    }
    for (const listener of listeners) listener({ operations: [], settled: [], instances: [], casts: true });
  };
  const reporter: Reporter = startReporter({
    client,
    service,
    clock,
    log: silentLog,
    reportIntervalMs: intervalMs,
    random: {
      unit: () => unit,
      uuid: () => {
        uuids += 1;
        return `id-${uuids}`;
      },
    },
    outbox: {
      casts: (limit) => casts.slice(0, limit),
      castDelivered: async (delivered) => {
        await Promise.resolve();
        casts = casts.filter((each) => each.seq !== delivered);
      },
      onCommit: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      reportAllInstances: async () => {
        all += 1;
        await Promise.resolve();
        put('all');
      },
    },
  });
  return {
    clock,
    service,
    reporter,
    tried,
    arrived,
    failures,
    put,
    waiting: () => casts.length,
    listeners: () => listeners.size,
    reportedAll: () => all,
    states: () => arrived.filter((each) => each.method === 'report_instance_status').map((each) => each.state),
    statuses: () => arrived.filter((each) => each.method === 'report_node_status').length,
  };
}

describe('the reporter', () => {
  let running: ReturnType<typeof fixture> | undefined;
  const start = (unit?: number): ReturnType<typeof fixture> => {
    running = fixture(unit);
    return running;
  };
  afterEach(async () => {
    await running?.reporter.stop();
    if (running) expect([running.clock.pending, running.listeners(), running.service.subscribers]).toEqual([0, 0, 0]);
    running = undefined;
  });

  it('empties the outbox in order, and tells of the node first', async () => {
    const { clock, put, arrived, states, waiting } = start();
    put(...Array.from({ length: 200 }, (_, n) => `s${n}`));
    await clock.flush();
    put('last');
    await clock.flush();
    expect(arrived[0]).toMatchObject({ method: 'report_node_status' });
    expect(states()).toEqual([...Array.from({ length: 200 }, (_, n) => `s${n}`), 'last']);
    expect(arrived.every((each) => each.mandatory)).toBe(true);
    expect(waiting()).toBe(0);
  });

  it('sends a cast that did not arrive again, under the same id, and nothing before it', async () => {
    const { clock, put, failures, tried, states } = start();
    await clock.flush();
    failures.push(unroutable, new ConnectionLostError(), unroutable);
    put('a', 'b');
    await clock.advance(60_000);
    expect(states()).toEqual(['a', 'b']);
    const instances = tried.filter((each) => each.method === 'report_instance_status');
    expect(instances.map((each) => each.state)).toEqual(['a', 'a', 'a', 'a', 'b']);
    const ids = instances.map((each) => each.uniqueId);
    expect(new Set(ids.slice(0, 4)).size).toBe(1);
    expect(ids[4]).not.toBe(ids[0]);
  });

  it('waits longer after each failure, by chance, and never longer than a limit', async () => {
    const waits = async (unit: number): Promise<number[]> => {
      const { clock, failures, tried, reporter } = fixture(unit);
      failures.push(...Array.from({ length: 12 }, () => unroutable));
      const times: number[] = [];
      for (let count = 1; count <= 12; count += 1) {
        await clock.runUntil(() => tried.length > count, 20_000);
        times.push(clock.monotonicMs());
      }
      await reporter.stop();
      return times.map((time, index) => Math.round(time - (times[index - 1] ?? 0)));
    };
    const most = await waits(0.999_999);
    expect(most).toEqual(most.toSorted((a, b) => a - b));
    expect([most[0], most[1], most.at(-1)]).toEqual([375, 625, 15_125]);
    expect(Math.max(...(await waits(0)))).toBe(125);
  });

  it('tells everything anew, at once, when the broker is there again', async () => {
    const { clock, put, failures, reporter, states, statuses, reportedAll } = start(0.999);
    await clock.flush();
    failures.push(...Array.from({ length: 8 }, () => new ConnectionLostError()));
    put('a');
    await clock.runUntil(() => failures.length === 0);
    expect(states()).toEqual([]);
    const before = clock.monotonicMs();
    reporter.reconnected();
    await clock.flush();
    expect(clock.monotonicMs()).toBe(before);
    expect(states()).toEqual(['a', 'all']);
    expect(statuses()).toBe(2);
    expect(reportedAll()).toBe(1);
  });

  it('tells of the node on each change and each interval, by what it is then', async () => {
    const { clock, service, statuses } = start();
    await clock.flush();
    expect(statuses()).toBe(1);
    service.emit('node', service.node);
    await clock.flush();
    expect(statuses()).toBe(2);
    await clock.advance(intervalMs * 3);
    expect(statuses()).toBe(5);
  });

  it('ends in the middle of a pause and keeps what did not arrive', async () => {
    const { clock, put, failures, reporter, waiting } = start();
    await clock.flush();
    failures.push(unroutable);
    put('a');
    await clock.flush();
    await reporter.stop();
    await clock.advance(intervalMs);
    expect(waiting()).toBe(1);
  });
});
