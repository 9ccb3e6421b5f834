import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import { buildArguments, createFlowScene, type FlowScene, host, server } from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** A server that nova has on this host, and that the node has lost. */
async function lost(state: JsonObject): Promise<FlowScene> {
  const one = createFlowScene();
  scene = one;
  one.cloud.allocations.add(server);
  await one.cast('build_and_run_instance', buildArguments(one));
  await one.quiet();
  await one.compute.service.submit('destroy_instance', { uuid: server }, { by: 'test' });
  one.compute.submitted.length = 0;
  Object.assign(one.nova.instance ?? {}, state);
  return one;
}

describe('a server that the node has lost', () => {
  it.each([
    ['reboot_instance', { vm_state: 'active', task_state: 'rebooting_hard' }],
    ['start_instance', { vm_state: 'stopped', task_state: 'powering-on' }],
  ])('is made from its record by %s, with its ports and volumes', async (method, state) => {
    const one = await lost(state);
    const [port] = one.cloud.ports.keys();
    const [volume] = one.cloud.volumes.keys();
    await one.cast(method, { reboot_type: 'HARD' });
    await one.quiet();
    expect(one.compute.submitted.map((each) => each.method)).toEqual(['build_and_run_instance']);
    expect(one.compute.submitted[0]?.args).toMatchObject({
      name: 'life',
      flavor: { name: 'f', memory_mib: 1024 },
      networks: [{ port_id: port }],
      volumes: [{ volume_id: volume, bootable: true }],
      metadata: { tier: 'gold' },
    });
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null, host });
    expect([one.cloud.ports.size, one.cloud.volumes.size, one.cloud.attachments.size]).toEqual([1, 1, 1]);
  });

  it('is not, and nothing of it is left here, where the node can’t', async () => {
    const one = await lost({ vm_state: 'active', task_state: 'rebooting_hard' });
    one.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'no', retry: 'never' });
    await one.cast('reboot_instance', { reboot_type: 'HARD' });
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'error', task_state: null });
    expect(one.compute.instances.get(server)).toBe('deleted');
    expect(one.cloud.volumes.size).toBe(1);
  });

  it.each([
    ['reboot_instance', { task_state: 'rebooting' }, { reboot_type: 'SOFT' }],
    ['stop_instance', { task_state: 'powering-off' }, {}],
  ])('is not by what needs it: %s', async (method, state, args) => {
    const one = await lost({ vm_state: 'active', ...state });
    await one.cast(method, args);
    await one.quiet();
    expect(one.compute.submitted).toEqual([]);
    expect(one.nova.faults).toMatchObject([{ message: `Instance ${server} is not running.` }]);
  });

  it('is not where another host has it by now', async () => {
    const one = await lost({ vm_state: 'active', task_state: 'rebooting_hard' });
    one.nova.onCall = (call) => {
      if (call === 'InstanceActionEvent.event_start' && one.nova.instance) one.nova.instance.host = 'other';
    };
    await one.cast('reboot_instance', { reboot_type: 'HARD' });
    await one.quiet();
    expect(one.compute.submitted).toEqual([]);
    expect(one.nova.instance).toMatchObject({ host: 'other', vm_state: 'active', task_state: 'rebooting_hard' });
  });
});
