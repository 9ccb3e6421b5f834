import { describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import type { NetworkBinder } from '../../../core/ports/network-binder.ts';
import { createPluggedBinder } from '../../../platform-adapter/openstack/plugged-binder.ts';
import type { Port } from '../../../platform-adapter/openstack/rest/neutron.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const spec = { portId: 'p1' } as Parameters<NetworkBinder['bind']>[0];

/** A switch that binds at once, and a Neutron that answers these states one after the other, the last for good. */
function scene(states: readonly (string | Error)[], timeoutMs = 300_000) {
  const clock = virtualClock();
  const asked: string[] = [];
  const binder = { bind: async () => ({ portId: 'p1', healthy: true }) } as unknown as NetworkBinder;
  const neutron = {
    showPort: async (id: string) => {
      const state = states[Math.min(asked.length, states.length - 1)];
      asked.push(id);
      if (state instanceof Error) throw state;
      return { id, status: state } as Port;
    },
  };
  return { clock, asked, binder: createPluggedBinder(binder, { neutron, timeoutMs, clock }) };
}

describe('a switch of OpenStack', () => {
  it('has a port when Neutron says that it is ACTIVE', async () => {
    const { clock, asked, binder } = scene(['DOWN', 'BUILD', 'ACTIVE']);
    const bound = await clock.drive(binder.bind(spec), 60_000);
    expect(bound.healthy).toBe(true);
    expect(asked).toEqual(['p1', 'p1', 'p1']);
  });

  it('waits no longer than its step may last, and not at all where nothing is to be waited for', async () => {
    const slow = scene(['DOWN']);
    const began = slow.clock.monotonicMs();
    await slow.clock.drive(slow.binder.bind(spec), 120_000);
    expect(slow.clock.monotonicMs() - began).toBeLessThan(60_000);
    expect(slow.clock.monotonicMs() - began).toBeGreaterThanOrEqual(40_000);

    const off = scene(['DOWN'], 0);
    await off.binder.bind(spec);
    expect(off.asked).toEqual([]);

    const mended = scene(['DOWN']);
    await mended.binder.bind(spec, undefined, { traffic: false });
    expect(mended.asked).toEqual([]);
  });

  it('does not fail since Neutron is away', async () => {
    const { binder } = scene([new DpuError('unavailable', 'neutron is away')]);
    await expect(binder.bind(spec)).resolves.toMatchObject({ portId: 'p1' });
  });
});
