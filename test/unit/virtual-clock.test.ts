import { describe, expect, it } from 'vitest';
import { seededRandom } from '../support/seeded-random.ts';
import { virtualClock } from '../support/virtual-clock.ts';

describe('the virtual clock', () => {
  it('runs timers by time, then by creation, with promises settled in between', async () => {
    const clock = virtualClock();
    const log: string[] = [];
    const note = (what: string): void => {
      log.push(`${what} ${clock.monotonicMs()}`);
    };
    clock.timer(20, () => note('late'));
    clock.timer(10, () => {
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => note('promise of the first'));
    });
    clock.timer(10, () => note('second'));
    await clock.advance(9);
    expect(log).toEqual([]);
    await clock.advance(11);
    expect(log).toEqual(['promise of the first 10', 'second 10', 'late 20']);
    expect(clock.monotonicMs()).toBe(20);
    expect(clock.wallMs() - virtualClock().wallMs()).toBe(20);
  });

  it('sleeps until woken or aborted, and forgets what was taken back', async () => {
    const clock = virtualClock();
    const abort = new AbortController();
    const asleep = expect(clock.sleep(1000, abort.signal)).rejects.toThrow('enough');
    clock.timer(1000, () => expect.unreachable()).cancel();
    expect(clock.pending).toBe(1);
    abort.abort(new Error('enough'));
    await asleep;
    expect(clock.pending).toBe(0);
    await expect(clock.sleep(1, abort.signal)).rejects.toThrow('enough');
  });

  it('lets no time pass while work outside of the event loop runs', async () => {
    const log: string[] = [];
    const clock = virtualClock({
      outside: async () => {
        if (log.length === 0) log.push(`outside ${clock.monotonicMs()}`);
      },
    });
    clock.timer(10, () => log.push(`timer ${clock.monotonicMs()}`));
    await clock.advance(10);
    expect(log).toEqual(['outside 0', 'timer 10']);
  });

  it('drives a promise through sleeps that beget sleeps, and says when it is stuck', async () => {
    const clock = virtualClock();
    const chain = async (): Promise<number> => {
      for (let time = 0; time < 5; time += 1) await clock.sleep(100);
      return clock.monotonicMs();
    };
    expect(await clock.drive(chain())).toBe(500);
    await expect(clock.drive(Promise.reject(new Error('its own')))).rejects.toThrow('its own');
    await expect(clock.drive(new Promise(() => {}))).rejects.toThrow('nothing waits');
    const everlasting = (): void => {
      clock.timer(10, everlasting);
    };
    everlasting();
    await expect(clock.drive(new Promise(() => {}), 1000)).rejects.toThrow('after 1000 ms');
    const before = clock.monotonicMs();
    await clock.runUntilIdle(1000);
    expect(clock.monotonicMs() - before).toBeLessThanOrEqual(1000);
  });
});

describe('seeded chance', () => {
  it('replays by seed, differs between seeds, and forks by label alone', () => {
    const draw = (seed: number) => {
      const random = seededRandom(seed);
      return [random.unit(), random.uuid(), random.int(1000), random.fork('a').uuid()];
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const used = seededRandom(1);
    used.unit();
    expect(used.fork('a').uuid()).toBe(seededRandom(1).fork('a').uuid());
  });

  it('gives uuids of version 4, and numbers spread over the range', () => {
    const random = seededRandom('spread');
    expect(random.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let time = 0; time < 10_000; time += 1) {
      const bucket = random.int(10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(Math.min(...buckets)).toBeGreaterThan(850);
    expect(Math.max(...buckets)).toBeLessThan(1150);
  });
});
