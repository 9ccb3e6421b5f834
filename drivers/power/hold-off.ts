import { DpuError, hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { BmcProtocol } from './protocol.ts';

/** How long a BMC that refused our credentials is left alone: many lock an account after a few refusals. */
const HOLD_MS = 60_000;

/** The protocol, which after a `denied` answers `denied` by itself for a minute. */
export function holdOff(protocol: BmcProtocol, clock: Clock): BmcProtocol {
  let until = Number.NEGATIVE_INFINITY;
  async function ask<Result>(signal: AbortSignal | undefined, work: () => Promise<Result>): Promise<Result> {
    signal?.throwIfAborted();
    if (clock.monotonicMs() < until) {
      throw new DpuError('denied', 'the BMC refused our credentials and is not asked again for a minute');
    }
    try {
      return await work();
    } catch (error) {
      if (hasCode(error, 'denied')) until = clock.monotonicMs() + HOLD_MS;
      throw error;
    }
  }
  return {
    power: (signal) => ask(signal, () => protocol.power(signal)),
    order: (order, signal) => ask(signal, () => protocol.order(order, signal)),
    setBoot: (target, signal) => ask(signal, () => protocol.setBoot(target, signal)),
    inventory: (signal) => ask(signal, () => protocol.inventory(signal)),
    close: () => protocol.close(),
  };
}
