/** Deletes that nobody is to lose anything by: of servers whose time to be restored is over, and of ports that are their users'. */
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import { createFlowScene, type FlowScene, host, nova, server } from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** A server that was deleted softly, and what it is when its delete begins. */
async function reclaim(now: JsonObject): Promise<FlowScene> {
  const instance = { host, node: host, vm_state: 'soft-delete', task_state: null, launched_at: 'then' };
  const one = createFlowScene({ devices: [], instance });
  scene = one;
  one.compute.instances.set(server, 'stopped');
  const sent = nova('Instance', { ...one.nova.instance });
  Object.assign(one.nova.instance ?? {}, now);
  await one.cast('terminate_instance', { instance: sent, reclaimed: true });
  await one.quiet();
  return one;
}

describe('a server whose time to be restored is over', () => {
  it('is deleted, and can’t be restored from then on', async () => {
    const one = await reclaim({});
    expect(one.nova.instance).toBeNull();
    expect(one.nova.saves[0]).toEqual({ task_state: 'deleting' });
  });

  it.each([
    { vm_state: 'active', task_state: null },
    { vm_state: 'soft-delete', task_state: 'restoring' },
  ])('stays where its user was faster: %o', async (now) => {
    const one = await reclaim(now);
    expect(one.nova.instance).toMatchObject(now);
    expect(one.compute.instances.get(server)).toBe('stopped');
    expect(one.nova.faults).toEqual([]);
    expect(one.store.list(1)[0]?.state).toBe('failed');
  });
});

describe('ports of a server that nova has deleted already', () => {
  it.each([
    [
      nova('InstanceInfoCache', { network_info: JSON.stringify([{ id: 'x' }, { id: 'y', preserve_on_delete: true }]) }),
      'y',
    ],
    [undefined, 'x y'],
  ] as const)('are their user’s unless it is known that they are not', async (cache, kept) => {
    const one = createFlowScene({ devices: [], instance: { host, vm_state: 'active', launched_at: 'then' } });
    scene = one;
    for (const id of ['x', 'y']) one.cloud.addPort({ id, deviceId: server, bindingHost: host });
    const sent = nova('Instance', { ...one.nova.instance, ...(cache === undefined ? {} : { info_cache: cache }) });
    one.nova.instance = null;
    await one.cast('terminate_instance', { instance: sent });
    await one.quiet();
    expect([...one.cloud.ports.keys()].join(' ')).toBe(kept);
    expect([...one.cloud.ports.values()].map(({ deviceId, bindingHost }) => deviceId + bindingHost).join('')).toBe('');
  });
});
