import type { ConfirmChannel, Message } from 'amqplib';

/** Acknowledges many messages of one channel by one frame. */
export type LateAcks = {
  /** Notes that this message, and all before it on the channel, may be acknowledged soon. */
  add(message: Message): void;
  /** Forgets the rest; the broker delivers it again when the channel has ended. */
  drop(): void;
};

/**
 * Collects up to 64 acknowledgements, for at most `delayMs`, and sends them as one with the flag `multiple` (AMQP 0-9-1,
 * basic.ack): each frame costs a write here and a wake-up of the broker. Only for messages whose repeats do no harm.
 */
export function createLateAcks(channel: ConfirmChannel, delayMs = 20): LateAcks {
  let last: Message | undefined;
  let count = 0;
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    count = 0;
    const message = last;
    last = undefined;
    try {
      if (message !== undefined) channel.ack(message, true);
    } catch {
      // the channel has ended, so the broker delivers again what it held
    }
  }

  return {
    add(message) {
      last = message;
      count += 1;
      if (count >= 64) flush();
      else timer ??= setTimeout(flush, delayMs);
    },
    drop() {
      clearTimeout(timer);
      timer = undefined;
      last = undefined;
    },
  };
}
