import { expect, it } from 'vitest';
import { systemClock } from '../../kit/clock.ts';
import type { QmpClient } from '../../packages/qmp-client/src/index.ts';
import { unplugDevice } from '../../snic-controller/backends/virtual/unplug.ts';
import { rejection } from './samples.ts';

/** A machine with one device, that is switched on by somebody else as soon as the device is asked for. */
function machineSwitchedOn(commands: string[]): QmpClient {
  let status = 'prelaunch';
  const events = {
    next: () => new Promise<never>(() => {}),
    [Symbol.dispose]: () => {},
  };
  const machine = {
    events: () => events,
    waitForEvent: () => new Promise<never>(() => {}),
    execute: async (name: string) => {
      commands.push(name);
      if (name === 'device_del') status = 'running';
      return name === 'query-status' ? { status } : {};
    },
  };
  return machine as unknown as QmpClient;
}

it('does not reset a host that is switched on between the question and the reset', async () => {
  const commands: string[] = [];
  const limits = { deadlineMs: 20, clock: systemClock };
  await rejection(unplugDevice(machineSwitchedOn(commands), 'fn-1', limits), 'busy');
  expect(commands).toContain('device_del');
  expect(commands).not.toContain('system_reset');
});
