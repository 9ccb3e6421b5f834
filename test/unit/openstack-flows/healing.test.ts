import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import { createFlowScene, type FlowScene, host, server } from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** A server with a port that is bound as given; answers where it is bound after the node looked at it, and the addresses that nova has. */
async function healed(instance: JsonObject, bindingHost: string, vifType: string, args: JsonObject = { heal: true }) {
  const one = createFlowScene({ devices: [], instance: { host, vm_state: 'active', task_state: null, ...instance } });
  scene = one;
  const port = one.cloud.addPort({ deviceId: server, bindingHost, vifType });
  await one.cast('network_changed', { instance: server, ...args });
  await one.quiet();
  expect(JSON.parse(one.nova.networkInfo)).toMatchObject([{ id: port.id }]);
  const { bindingHost: bound, vifType: type } = one.cloud.ports.get(port.id) ?? port;
  return `${bound} ${type}`;
}

describe('a port of a server on this host', () => {
  it.each([
    ['dead', 'ovs'],
    ['', 'unbound'],
    [host, 'binding_failed'],
  ])('is bound to it again: %s %s', async (bound, type) => {
    expect(await healed({}, bound, type)).toBe(`${host} ovs`);
  });

  it.each<[string, JsonObject, JsonObject]>([
    ['something is done to the server', { task_state: 'rebuilding' }, { heal: true }],
    ['it is being built', { vm_state: 'building' }, { heal: true }],
    ['it is on another host', { host: 'other' }, { heal: true }],
    ['Neutron tells of a change', {}, { key: 'x' }],
  ])('is left as it is where %s', async (_why, instance, args) => {
    expect(await healed(instance, 'other', 'ovs', args)).toBe('other ovs');
  });

  it('is left as it is where the server has gone to another host between two tries', async () => {
    const one = createFlowScene({ devices: [], instance: { host, vm_state: 'active', task_state: null } });
    scene = one;
    const { id } = one.cloud.addPort({ deviceId: server, bindingHost: 'other', vifType: 'ovs' });
    let calls = 0;
    one.cloud.onCall = () => {
      calls += 1;
      if (calls > 1) return;
      Object.assign(one.nova.instance ?? {}, { host: 'other' });
      throw new DpuError('unavailable', 'Neutron is away');
    };
    await one.cast('network_changed', { instance: server, heal: true });
    await one.quiet();
    expect(calls).toBeGreaterThan(1);
    expect(one.cloud.ports.get(id)).toMatchObject({ bindingHost: 'other' });
  });
});
