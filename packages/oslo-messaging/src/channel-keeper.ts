import type { ConfirmChannel } from 'amqplib';
import { backoffDelay } from './backoff.ts';
import { ClosedError, ConnectionLostError, explainRefusal } from './errors.ts';
import { pause, withSignal } from './signals.ts';
import type { Transport } from './transport.ts';

/** A channel that is opened and set up anew after each loss. */
export type ChannelKeeper = {
  /** The channel that is set up now. */
  readonly current: ConfirmChannel | undefined;
  /** The channel, as soon as it is set up. @throws ClosedError, or the signal's reason */
  ready(signal: AbortSignal): Promise<ConfirmChannel>;
  /** Gives up the channel and sets up a new one (for example after the broker cancelled a consumer). */
  renew(channel: ConfirmChannel): void;
  /** Closes the channel for good. May be called twice. */
  close(): Promise<void>;
};

/**
 * Keeps one confirm channel on the transport. `setup` runs on each new channel before anyone gets it; when it fails
 * (FlagsMismatchError for a queue of other flags) the error is reported and tried again after the transport's back-off.
 * `lost` is called once for each channel that `setup` saw.
 */
export function keepChannel(
  transport: Transport,
  setup: (channel: ConfirmChannel) => Promise<void>,
  lost: (channel: ConfirmChannel) => void = () => {},
): ChannelKeeper {
  const closing = new AbortController();
  let current: ConfirmChannel | undefined;
  let next = freshPromise();
  const settled = run();

  async function run(): Promise<void> {
    let attempt = 0;
    while (!closing.signal.aborted) {
      try {
        await serveOne(() => {
          attempt = 0;
        });
      } catch (error) {
        if (closing.signal.aborted) break;
        if (error instanceof ClosedError) break; // the transport's owner closed it
        const told = explainRefusal(error);
        transport.logger.warn({ err: told }, 'channel cannot be set up');
        transport.report(told instanceof Error ? told : new Error(String(told)));
      }
      await pause(backoffDelay(attempt++, transport.backoff, transport.random), closing.signal);
    }
    next.reject(new ClosedError());
  }

  async function serveOne(onReady: () => void): Promise<void> {
    const connection = await transport.connection(closing.signal);
    const channel = await withSignal(connection.createConfirmChannel(), closing.signal);
    const ended = Promise.withResolvers<void>();
    let cause: Error | undefined;
    channel.on('error', (error: Error) => {
      cause = error;
    });
    channel.on('close', () => ended.resolve());
    try {
      const broken = ended.promise.then(() => {
        throw cause ?? new ConnectionLostError();
      });
      await withSignal(Promise.race([setup(channel), broken]), closing.signal);
      current = channel;
      onReady();
      next.resolve(channel);
      await withSignal(ended.promise, closing.signal);
      if (cause !== undefined && transport.state === 'connected') transport.report(explainRefusal(cause) as Error);
    } finally {
      if (current === channel) {
        current = undefined;
        next = freshPromise();
      }
      lost(channel);
      await discard(channel);
    }
  }

  return {
    get current() {
      return current;
    },
    async ready(signal) {
      return await withSignal(next.promise, signal);
    },
    renew(channel) {
      void discard(channel);
    },
    async close() {
      closing.abort(new ClosedError());
      await settled;
    },
  };
}

function freshPromise(): PromiseWithResolvers<ConfirmChannel> {
  const fresh = Promise.withResolvers<ConfirmChannel>();
  fresh.promise.catch(() => {}); // those who wait get the rejection; nobody waiting is no fault
  return fresh;
}

async function discard(channel: ConfirmChannel): Promise<void> {
  try {
    await withSignal(channel.close(), AbortSignal.timeout(3000));
  } catch {
    // it is closed already, which is what was wanted
  }
}
