import type { ConfirmChannel, Message } from 'amqplib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLateAcks } from '../src/late-acks.ts';

const message = (n: number) => ({ fields: { deliveryTag: n } }) as Message;

describe('late acknowledgements', () => {
  const acked: [number, boolean | undefined][] = [];
  let dead = false;
  const channel = {
    ack(what: Message, upTo?: boolean) {
      if (dead) throw new Error('channel closed');
      acked.push([what.fields.deliveryTag, upTo]);
    },
  } as ConfirmChannel;

  beforeEach(() => {
    vi.useFakeTimers();
    acked.length = 0;
    dead = false;
  });
  afterEach(() => vi.useRealTimers());

  it('sends one for all that came in its time', () => {
    const acks = createLateAcks(channel, 20);
    for (const n of [1, 2, 3]) acks.add(message(n));
    vi.advanceTimersByTime(19);
    expect(acked).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(acked).toEqual([[3, true]]);
    acks.add(message(4));
    vi.runAllTimers();
    expect(acked).toEqual([
      [3, true],
      [4, true],
    ]);
  });

  it('holds no more than 64', () => {
    const acks = createLateAcks(channel, 20);
    for (let n = 1; n <= 130; n++) acks.add(message(n));
    expect(acked).toEqual([
      [64, true],
      [128, true],
    ]);
    vi.runAllTimers();
    expect(acked.at(-1)).toEqual([130, true]);
  });

  it('forgets them when told, and bears a channel that has ended', () => {
    const acks = createLateAcks(channel, 20);
    acks.add(message(1));
    acks.drop();
    expect(vi.getTimerCount()).toBe(0);
    acks.add(message(2));
    dead = true;
    vi.runAllTimers();
    expect(acked).toEqual([]);
  });
});
