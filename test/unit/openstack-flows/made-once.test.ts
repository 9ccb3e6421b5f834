/** A request that has waited in the queue of a host that was down, while another host was asked for the same server. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../core/units.ts';
import { createFlowScene, type FlowScene, host, nova, server } from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** Sent with nothing of what has become of the server since. */
async function late(method: string, before: JsonObject, now: JsonObject, args: JsonObject, later: JsonObject[] = []) {
  const one = createFlowScene({ devices: [], instance: { vm_state: 'active', ...before } });
  scene = one;
  const sent = nova('Instance', { ...one.nova.instance }) as Json;
  for (const each of later) one.nova.migrations.set(Number(each.id), each);
  Object.assign(one.nova.instance ?? {}, now);
  one.cloud.allocations.add(server);
  one.cloud.held.set(server, { [host]: { VCPU: 1 }, other: { VCPU: 1 } });
  await one.cast(method, { instance: sent, ...args });
  await one.quiet();
  return one;
}

const evacuation = (id: number): JsonObject => ({ id, uuid: `m${id}`, status: 'accepted', instance_uuid: server });

describe('a server is made by one host', () => {
  it('of two evacuations by the one that was asked for last', async () => {
    const before = { host: 'dead', task_state: 'rebuilding' };
    const args = { recreate: true, migration: nova('Migration', evacuation(1)) };
    const one = await late('rebuild_instance', before, {}, args, [evacuation(1), evacuation(2)]);
    expect(one.compute.submitted).toEqual([]);
    expect(one.nova.instance).toMatchObject({ host: 'dead', vm_state: 'active', task_state: 'rebuilding' });
    expect(one.nova.faults).toEqual([]);
    expect(one.nova.migrations.get(1)).toMatchObject({ status: 'failed' });
    expect(one.nova.migrations.get(2)).toMatchObject({ status: 'accepted' });
    expect(one.cloud.held.get(server)).toEqual({ other: { VCPU: 1 } });
  });

  it('that has been unshelved on another', async () => {
    const before = { vm_state: 'shelved_offloaded', task_state: 'unshelving', host: null };
    const one = await late('unshelve_instance', before, { task_state: 'spawning', host: 'other' }, { image: null });
    expect(one.compute.submitted).toEqual([]);
    expect(one.nova.instance).toMatchObject({ host: 'other', task_state: 'spawning' });
    expect(one.cloud.allocations.has(server)).toBe(true);
  });
});

describe('an evacuation to a host that can’t take it', () => {
  it('leaves the server what it was, with a fault, for another try', async () => {
    const before = { host: 'dead', task_state: 'rebuilding', vm_state: 'stopped' };
    const one = createFlowScene({ devices: [], instance: before });
    scene = one;
    one.compute.instances.set('somebody', 'active');
    one.nova.migrations.set(1, evacuation(1));
    await one.cast('rebuild_instance', { recreate: true, migration: nova('Migration', evacuation(1)) });
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ host: 'dead', vm_state: 'stopped', task_state: null });
    expect(one.nova.faults).toMatchObject([
      { message: expect.stringContaining('Insufficient compute resources') as string },
    ]);
    expect(one.nova.migrations.get(1)).toMatchObject({ status: 'failed' });
  });
});
