import type { PowerController, PowerState } from '../../core/ports/power-controller.ts';

/** A BMC whose last word on the host's power is remembered. */
export interface KnownPower extends PowerController {
  last(): PowerState;
}

/** Remembers what a BMC said or did; a call that fails leaves it `unknown`. */
export function rememberPower(power: PowerController): KnownPower {
  let last: PowerState = 'unknown';
  async function note(call: Promise<PowerState>): Promise<PowerState> {
    try {
      last = await call;
      return last;
    } catch (error) {
      last = 'unknown';
      throw error;
    }
  }
  return {
    last: () => last,
    getPower: (signal) => note(power.getPower(signal)),
    async powerOn(signal) {
      await note(power.powerOn(signal).then(() => 'on' as const));
    },
    async powerOff(mode, softTimeoutMs, signal) {
      await note(power.powerOff(mode, softTimeoutMs, signal).then(() => 'off' as const));
    },
    owner: () => power.owner(),
    async reset(signal) {
      await note(power.reset(signal).then(() => 'on' as const));
    },
    setNextBoot: (target, signal) => power.setNextBoot(target, signal),
    inventory: (signal) => power.inventory(signal),
  };
}
