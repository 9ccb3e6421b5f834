import { describe, expect, it } from 'vitest';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { computeCalls } from '../../platform-adapter/openstack/rpc/calls.ts';
import { adminContext } from '../../platform-adapter/openstack/wire/context.ts';

const set: boolean[] = [];
const calls = computeCalls({
  service: {} as never,
  flows: {} as never,
  events: {} as never,
  clock: systemClock,
  driver: 'libvirt',
  setHostEnabled(enabled) {
    set.push(enabled);
    return Promise.resolve(enabled ? 'enabled' : 'disabled');
  },
  consoles: {},
});
const call = {
  received: { context: adminContext({ clock: systemClock, random: systemRandom }), credentials: null },
  uniqueId: null,
  signal: new AbortController().signal,
};

describe('cache_images', () => {
  it('says of each image that a node keeps none', async () => {
    const answer = await calls.cache_images?.({ image_ids: ['image-1', 'image-2'] }, call);
    expect(answer).toEqual({ 'image-1': 'unsupported', 'image-2': 'unsupported' });
  });
});

describe('set_host_enabled', () => {
  const ask = (args: Readonly<Record<string, unknown>>) => calls.set_host_enabled?.(args, call);

  it('does as it is told', async () => {
    expect(await ask({ enabled: false })).toBe('disabled');
    expect(await ask({ enabled: true })).toBe('enabled');
    expect(set.splice(0)).toEqual([false, true]);
  });

  it.each([{}, { enabled: null }, { enabled: 'true' }, { enabled: 0 }])(
    'leaves the host as it is for %j',
    async (args) => {
      await expect(ask(args)).rejects.toMatchObject({ code: 'invalid', field: 'enabled' });
      expect(set).toEqual([]);
    },
  );
});
