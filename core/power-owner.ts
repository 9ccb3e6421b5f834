import { DpuError } from './errors.ts';
import { type Clock, timestamp } from './ports/clock.ts';
import type { PowerController, PowerOwner } from './ports/power-controller.ts';

/** Lets one mutator at a time at the power; another is refused with `busy` and the reason of the one that runs. */
export function ownPower(clock: Clock, power: Omit<PowerController, 'owner'>): PowerController {
  let owner: PowerOwner | null = null;

  async function own<Result>(reason: string, work: () => Promise<Result>): Promise<Result> {
    if (owner !== null) {
      const details = { owner: owner.reason, since: owner.since };
      throw new DpuError('busy', `${reason} has to wait: somebody is ${owner.reason}`, { details });
    }
    owner = { reason, since: timestamp(clock) };
    try {
      return await work();
    } finally {
      owner = null;
    }
  }
  return {
    owner: () => owner,
    getPower: (signal) => power.getPower(signal),
    inventory: (signal) => power.inventory(signal),
    powerOn: (signal) => own('switching the host on', () => power.powerOn(signal)),
    powerOff: (mode, softTimeoutMs, signal) =>
      own(mode === 'soft' ? 'waiting for the host to shut down' : 'switching the host off', () =>
        power.powerOff(mode, softTimeoutMs, signal),
      ),
    reset: (signal) => own('resetting the host', () => power.reset(signal)),
    setNextBoot: (target, signal) => own("choosing the host's boot disk", () => power.setNextBoot(target, signal)),
  };
}
