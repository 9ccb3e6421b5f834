import { describe, expect, it } from 'vitest';
import type { ServiceEvent } from '../../core/ports/compute-service.ts';
import { systemClock } from '../../kit/clock.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import { createEventFeed } from '../../soc-daemon/service/events.ts';

/** A feed, and how often what it tells of was read. */
function feed() {
  const events = createEventFeed(systemClock);
  let reads = 0;
  let generation = 0;
  return {
    ...events,
    reads: () => reads,
    tell() {
      generation += 1;
      events.emit('node', () => {
        reads += 1;
        return { generation } as unknown as NodeStatus;
      });
    },
  };
}

const generations = (events: readonly ServiceEvent[]) =>
  events.map(({ data }) => (data as unknown as { generation: number }).generation);

describe('the feed of events', () => {
  it('reads nothing for those who only want to know that something changed', () => {
    const { tell, reads, subscribe, watched } = feed();
    const types: string[] = [];
    subscribe(({ type }) => types.push(type));
    tell();
    tell();
    expect(types).toEqual(['node', 'node']);
    expect(reads()).toBe(0);
    expect(watched()).toBe(false);
  });

  it('reads once, however many look', () => {
    const { tell, reads, subscribe } = feed();
    const seen: unknown[] = [];
    for (let each = 0; each < 3; each += 1) subscribe(({ data }) => seen.push(data));
    tell();
    expect(seen).toEqual(Array(3).fill({ generation: 1 }));
    expect(reads()).toBe(1);
  });

  it('gives those who come back what they missed, as it was', () => {
    const { tell, subscribe, watched } = feed();
    tell(); // nobody was there yet
    const seen: ServiceEvent[] = [];
    const leave = subscribe((event) => seen.push({ ...event }), Number.POSITIVE_INFINITY);
    expect(watched()).toBe(true);
    tell();
    leave();
    tell();
    tell();
    const later: ServiceEvent[] = [];
    subscribe((event) => later.push({ ...event }), seen[0]?.id);
    expect(generations(seen)).toEqual([2]);
    expect(generations(later)).toEqual([3, 4]);
    expect(later.map(({ id }) => id - (seen[0]?.id ?? 0))).toEqual([1, 2]);
  });
});
