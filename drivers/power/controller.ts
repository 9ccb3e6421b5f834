import { DpuError, hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { PowerController, PowerState } from '../../core/ports/power-controller.ts';
import { ownPower } from '../../core/power-owner.ts';
import { joinInventory } from './inventory.ts';
import type { BmcProtocol, PartialInventory, PowerOrder } from './protocol.ts';

/** What a host's power is controlled with. */
export interface BmcPowerParts {
  /** Who is asked: power, boot and inventory of the first; the others add to the inventory what it does not know. */
  readonly protocols: readonly [BmcProtocol, ...BmcProtocol[]];
  /** What is known from elsewhere; it has the last word. */
  readonly known?: PartialInventory;
  /** What is believed where no protocol tells. */
  readonly fallback?: PartialInventory;
  readonly clock: Clock;
  readonly log: Log;
  /** How long the host has to come on, or to be off when its power is taken away. */
  readonly powerMs: number;
}

/** Times that an order is sent before the hardware is given up: a busy BMC may answer and forget. */
const MAX_ORDERS = 3;
const POLL = { firstMs: 50, factor: 1.5, maxMs: 2_000 } as const;

/** The power of a host behind a BMC. Orders are repeated a few times at most, and never past a deadline. */
export function createBmcPower(parts: BmcPowerParts): PowerController {
  const { clock, log } = parts;
  const [bmc, ...others] = parts.protocols;

  /** Looks until the power is as wished; false at the deadline. A BMC that is busy or away meanwhile is borne. */
  async function reaches(wished: PowerState, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    const deadline = clock.monotonicMs() + ms;
    for (let pause: number = POLL.firstMs; ; pause = Math.min(pause * POLL.factor, POLL.maxMs)) {
      try {
        if ((await bmc.power(signal)) === wished) return true;
      } catch (error) {
        if (!hasCode(error, 'unavailable')) throw error;
      }
      const left = deadline - clock.monotonicMs();
      if (left <= 0) return false;
      await clock.sleep(Math.min(pause, left), signal);
    }
  }

  /** Orders until it is so. @throws `hardware` when it never comes to be. */
  async function bring(order: 'on' | 'off', signal: AbortSignal | undefined): Promise<void> {
    if ((await bmc.power(signal)) === order) return;
    let last: unknown;
    for (let sent = 1; sent <= MAX_ORDERS; sent += 1) {
      last = await refusal(order, signal);
      // What was refused by a busy BMC is looked at too: it may be done nevertheless.
      if (await reaches(order, parts.powerMs / MAX_ORDERS, signal)) return;
      log.warn('the host has not followed an order yet', { order, sent, error: last });
    }
    if (last instanceof DpuError && last.code === 'unavailable') throw last;
    throw new DpuError('hardware', `the host does not go ${order}`, { cause: last });
  }

  /** Sends an order; answers the refusal that may pass. @throws any other. */
  async function refusal(order: PowerOrder, signal: AbortSignal | undefined): Promise<unknown> {
    try {
      await bmc.order(order, signal);
      return undefined;
    } catch (error) {
      if (hasCode(error, 'unavailable') || hasCode(error, 'busy') || hasCode(error, 'bad_state')) return error;
      throw error;
    }
  }

  async function shutDown(softTimeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if ((await bmc.power(signal)) === 'off') return;
    try {
      await bmc.order('soft-off', signal);
    } catch (error) {
      // A BMC that can't ask is like a host that takes no notice: the caller goes on as for that.
      if (hasCode(error, 'unsupported')) throw new DpuError('timeout', "the BMC can't ask the host", { cause: error });
      if (!hasCode(error, 'bad_state')) throw error;
    }
    if (!(await reaches('off', softTimeoutMs, signal))) {
      throw new DpuError('timeout', 'the host did not shut down in time');
    }
  }

  return ownPower(clock, {
    getPower: (signal) => bmc.power(signal),
    powerOn: (signal) => bring('on', signal),
    powerOff: (mode, softTimeoutMs, signal) =>
      mode === 'hard' ? bring('off', signal) : shutDown(softTimeoutMs, signal),
    async reset(signal) {
      if ((await bmc.power(signal)) !== 'on') throw new DpuError('bad_state', 'the host is off');
      await bmc.order('reset', signal);
      if (!(await reaches('on', parts.powerMs, signal))) throw new DpuError('hardware', 'the host did not come back');
    },
    setNextBoot: (target, signal) => bmc.setBoot(target, signal),
    async inventory(signal) {
      const first = await bmc.inventory(signal);
      const rest = await Promise.all(
        others.map(async (other) => {
          try {
            return await other.inventory(signal);
          } catch (error) {
            signal?.throwIfAborted();
            log.warn('a part of the inventory could not be read', { error });
            return {};
          }
        }),
      );
      return joinInventory([parts.known ?? {}, first, ...rest, parts.fallback ?? {}]);
    },
  });
}
