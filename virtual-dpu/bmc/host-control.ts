/** The host's power and boot, one state behind both protocols. */
import { DpuError } from '../../core/errors.ts';
import { afterBoot, type BootSettings, bootOrder, bootReference, nextBootOrder } from './boot.ts';
import type { HostDevice } from './devices.ts';
import { type Machine, type MachinePower, openMachine } from './machine.ts';
import type { StateStore } from './state.ts';

/** What can be asked of the host (schema Resource, ResetType). */
export const POWER_ORDERS = [
  'On',
  'ForceOff',
  'GracefulShutdown',
  'GracefulRestart',
  'ForceRestart',
  'PowerCycle',
  'PushPowerButton',
] as const;

/** One of them. */
export type PowerOrder = (typeof POWER_ORDERS)[number];

/** The host behind the BMC. */
export interface HostControl {
  power(): Promise<MachinePower>;
  /** Begins what is ordered; a graceful one ends when the guest says so. @throws DpuError `hardware` (a rule says so), `unavailable` (QEMU is away). */
  order(order: PowerOrder): Promise<void>;
  /** Empty while QEMU is away. */
  devices(): Promise<readonly HostDevice[]>;
  setBoot(change: Partial<BootSettings>): Promise<void>;
  close(): void;
}

/**
 * A host that ran so long since its last reset has left its firmware, so an override for one boot is used up. It can't be at the reset itself:
 * SeaBIOS resets the machine once more when it finds itself started a second time.
 */
const BOOTED_MS = 3000;

/** QMP events after which the power may be another. */
const POWER_EVENTS: readonly string[] = ['RESUME', 'STOP', 'SHUTDOWN', 'RESET', 'GUEST_PANICKED'];

/** Opens the host at its QMP socket. `powerChanged` hears every change, whoever made it. */
export function openHost(path: string, store: StateStore, powerChanged: (power: MachinePower) => void): HostControl {
  let last: Promise<unknown> = Promise.resolve();
  let known: MachinePower = 'Unknown';
  let booted: NodeJS.Timeout | undefined;
  /** A graceful restart waits for the guest to switch itself off. */
  let restarting = false;
  /** Whether the machine's processors run, by its own events. */
  let running = false;

  /** One at a time: an order begun by one protocol ends before the other's. */
  function alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = last.then(work, work);
    last = result.catch(() => {});
    return result;
  }

  const machine: Machine = openMachine(path, {
    up: () =>
      void look()
        .then(() => {
          running = known === 'On';
          return alone(prepareBoot);
        })
        .catch(() => {}),
    event(event) {
      if (event.event === 'SHUTDOWN' && restarting) {
        restarting = false;
        alone(turnOn).catch(() => {});
      }
      // switching off resets the machine too, and its word of that may come late: what is set while it is off waits for its start
      if (event.event === 'STOP' || event.event === 'SHUTDOWN') running = false;
      if (event.event === 'RESUME') running = true;
      if (running && (event.event === 'RESUME' || event.event === 'RESET')) applyBios();
      if (event.event === 'RESET' || event.event === 'RESUME') bootBegins();
      if (POWER_EVENTS.includes(event.event)) void look();
    },
  });

  async function look(): Promise<void> {
    const power = await machine.power();
    if (power === known) return;
    known = power;
    powerChanged(power);
  }
  function bootBegins(): void {
    clearTimeout(booted);
    booted = setTimeout(() => {
      alone(async () => {
        if (store.get().boot.enabled !== 'Once' || (await machine.power()) !== 'On') return;
        store.set({ boot: afterBoot(store.get().boot) });
        await prepareBoot();
      }).catch(() => {});
    }, BOOTED_MS);
  }
  function applyBios(): void {
    const { bios, biosPending } = store.get();
    if (Object.keys(biosPending).length > 0) store.set({ bios: { ...bios, ...biosPending }, biosPending: {} });
  }
  /** Hands QEMU the order of the next boot, and keeps the usual order, so that an override does not change it for good. */
  async function prepareBoot(): Promise<void> {
    const devices = await machine.devices();
    const { boot } = store.get();
    const usual = bootOrder(boot, devices).map(bootReference);
    const order = [...usual, ...boot.order.filter((reference) => !usual.includes(reference))];
    if (order.join() !== boot.order.join()) store.set({ boot: { ...boot, order } });
    await machine.setBootOrder(nextBootOrder(boot, devices).map((device) => device.id));
  }
  async function turnOn(): Promise<void> {
    await prepareBoot();
    await machine.on();
  }
  async function carryOut(order: PowerOrder): Promise<void> {
    restarting = false;
    switch (order) {
      case 'On':
        return turnOn();
      case 'ForceOff':
        return machine.off();
      case 'GracefulShutdown':
        return machine.pressPowerButton();
      case 'GracefulRestart':
        restarting = (await machine.power()) === 'On';
        return machine.pressPowerButton();
      case 'ForceRestart':
        await prepareBoot();
        return machine.reset();
      case 'PowerCycle':
        await machine.off();
        return turnOn();
      case 'PushPowerButton':
        return (await machine.power()) === 'On' ? machine.pressPowerButton() : turnOn();
    }
  }

  return {
    power: () => machine.power(),
    async order(order) {
      const { power } = store.get().rules;
      if (power === 'refuses') throw new DpuError('hardware', `the power refuses ${order}`);
      if (power === 'stuck') return;
      if (power === 'ignores-soft' && order.startsWith('Graceful')) return;
      await alone(() => carryOut(order));
      await look();
    },
    async devices() {
      try {
        return await machine.devices();
      } catch {
        return []; // A BMC goes on answering when it can't see the host.
      }
    },
    async setBoot(change) {
      await alone(async () => {
        store.set({ boot: { ...store.get().boot, ...change } });
        // QEMU that is away gets it when it is back, or at power on.
        await prepareBoot().catch(() => {});
      });
    },
    close() {
      clearTimeout(booted);
      machine.close();
    },
  };
}
