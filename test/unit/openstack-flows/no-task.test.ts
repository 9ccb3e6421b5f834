import { afterEach, describe, expect, it } from 'vitest';
import { createFlowScene, type FlowScene, host, server } from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

describe('a refused request without a task of its own', () => {
  it.each([
    'trigger_crash_dump',
    'add_fixed_ip_to_instance',
    'remove_fixed_ip_from_instance',
    'live_migration_force_complete',
    'live_migration_abort',
    'unquiesce_instance',
  ])('leaves that of the next one: %s', async (method) => {
    const one = createFlowScene({ devices: [], instance: { host, vm_state: 'stopped', task_state: 'powering-on' } });
    scene = one;
    one.compute.instances.set(server, 'stopped');
    await one.cast(method);
    await one.quiet();
    expect(one.nova.faults).toHaveLength(1);
    expect(one.nova.saves).toEqual([]);
    await one.cast('start_instance');
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
  });

  it('leaves that of a soft delete, as one that fails does', async () => {
    const one = createFlowScene({ devices: [], instance: { host, vm_state: 'active', task_state: 'pausing' } });
    scene = one;
    one.compute.instances.set(server, 'active');
    one.compute.failNext.set('pause_vm', { code: 'hardware', message: 'no', retry: 'never' });
    one.compute.onSubmit = () => {
      if (one.nova.instance?.task_state === 'pausing') one.nova.instance.task_state = 'soft-deleting';
    };
    await one.cast('pause_instance');
    await one.quiet();
    expect(one.nova.faults).toHaveLength(1);
    // else nova-api would let its users do anything with the server
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: 'soft-deleting' });
    await one.cast('soft_delete_instance');
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'soft-delete', task_state: null });
  });

  it('takes a soft delete back that fails itself', async () => {
    const one = createFlowScene({ devices: [], instance: { host, vm_state: 'active', task_state: 'soft-deleting' } });
    scene = one;
    one.compute.instances.set(server, 'active');
    one.compute.failNext.set('stop_instance', { code: 'hardware', message: 'no', retry: 'never' });
    await one.cast('soft_delete_instance');
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
  });

  it.each(['snapshot_instance', 'backup_instance', 'shelve_instance'])('takes its own off: %s', async (method) => {
    const one = createFlowScene({ devices: [], instance: { host, vm_state: 'active', task_state: 'image_snapshot' } });
    scene = one;
    await one.cast(method);
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
  });
});
