import { expect, it } from 'vitest';
import { DpuError, type ErrorCode } from '../../core/errors.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { PowerState } from '../../core/ports/power-controller.ts';
import { createBmcPower } from '../../drivers/power/controller.ts';
import { holdOff } from '../../drivers/power/hold-off.ts';
import { joinInventory } from '../../drivers/power/inventory.ts';
import type { BmcProtocol, PowerOrder } from '../../drivers/power/protocol.ts';
import { virtualClock } from '../support/virtual-clock.ts';
import { rejection } from './samples.ts';

/** A BMC whose answers are told. `obeys`: the order's number that it follows. */
function bmc(options: { readonly power?: PowerState; readonly obeys?: number; readonly refuses?: ErrorCode } = {}) {
  let power: PowerState = options.power ?? 'off';
  const orders: PowerOrder[] = [];
  let away = false;
  const protocol: BmcProtocol = {
    async power() {
      if (away) throw new DpuError('unavailable', 'away');
      return power;
    },
    async order(order) {
      orders.push(order);
      if (options.refuses) throw new DpuError(options.refuses, 'refused');
      if (orders.length >= (options.obeys ?? 1)) power = order === 'on' || order === 'reset' ? 'on' : 'off';
    },
    setBoot: async () => {},
    inventory: async () => ({}),
    close: async () => {},
  };
  const clock = virtualClock();
  const controller = createBmcPower({ protocols: [protocol], clock, log: silentLog, powerMs: 30_000 });
  return {
    orders,
    clock,
    power: controller,
    goAway: (gone: boolean) => {
      away = gone;
    },
    drive: <Result>(work: Promise<Result>) => clock.drive(work, 3_600_000),
  };
}

it('sends an order that was forgotten again, three times at most', async () => {
  const forgetful = bmc({ obeys: 2 });
  await forgetful.drive(forgetful.power.powerOn());
  expect(forgetful.orders).toEqual(['on', 'on']);
  const stuck = bmc({ obeys: 99, power: 'on' });
  await rejection(stuck.drive(stuck.power.powerOff('hard', 0)), 'hardware');
  expect(stuck.orders).toEqual(['off', 'off', 'off']);
  expect(stuck.clock.monotonicMs()).toBe(30_000);
});

it('bears refusals that may pass, and no other', async () => {
  for (const [code, orders] of [
    ['unavailable', 3],
    ['busy', 3],
    ['bad_state', 3],
    ['denied', 1],
    ['unsupported', 1],
  ] as const) {
    const refusing = bmc({ refuses: code });
    const ends = code === 'busy' || code === 'bad_state' ? 'hardware' : code;
    await rejection(refusing.drive(refusing.power.powerOn()), ends);
    expect(refusing.orders.length, code).toBe(orders);
  }
});

it('sends a reset and a soft off once only', async () => {
  const lost = bmc({ power: 'on', refuses: 'unavailable' });
  await rejection(lost.drive(lost.power.reset()), 'unavailable');
  await rejection(lost.drive(lost.power.powerOff('soft', 1000)), 'unavailable');
  expect(lost.orders).toEqual(['reset', 'soft-off']);
});

it('takes a BMC that cannot ask the host for a host that takes no notice', async () => {
  const mute = bmc({ power: 'on', refuses: 'unsupported' });
  await rejection(mute.drive(mute.power.powerOff('soft', 1000)), 'timeout');
});

it('bears a BMC that is away while the host comes on, until its deadline', async () => {
  const blinking = bmc({ obeys: 1 });
  const on = blinking.power.powerOn();
  blinking.goAway(false);
  await blinking.drive(on);
  const gone = bmc({ obeys: 99 });
  const waiting = gone.power.powerOn();
  await gone.clock.advance(100);
  gone.goAway(true);
  await rejection(gone.drive(waiting), 'hardware');
});

it('leaves a BMC alone for a minute that refused the credentials', async () => {
  let asked = 0;
  const clock = virtualClock();
  const refusing: BmcProtocol = {
    async power() {
      asked += 1;
      throw new DpuError('denied', 'wrong password');
    },
    order: async () => {},
    setBoot: async () => {},
    inventory: async () => ({}),
    close: async () => {},
  };
  const careful = holdOff(refusing, clock);
  await rejection(careful.power(undefined), 'denied');
  await clock.advance(59_999);
  await rejection(careful.inventory(undefined), 'denied');
  await rejection(careful.power(undefined), 'denied');
  expect(asked).toBe(1);
  await clock.advance(1);
  expect(await careful.inventory(undefined)).toEqual({});
  await rejection(careful.power(undefined), 'denied');
  expect(asked).toBe(2);
});

it('joins an inventory of what each source knows', () => {
  const nic = { name: 'n', mac: null };
  expect(
    joinInventory([
      { memoryMib: 8, serialNumber: undefined },
      { serialNumber: ' ', cpus: 0, memoryMib: 4, model: 'm', nics: [] },
      { serialNumber: 'SN ', cpus: 2, model: 'other', nics: [nic] },
    ]),
  ).toEqual({ serialNumber: 'SN', model: 'm', manufacturer: null, cpus: 2, memoryMib: 8, nics: [nic], disks: [] });
});
