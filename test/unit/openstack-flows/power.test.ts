import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import { createFlowScene, type FlowScene, leftovers, nova, server } from '../../support/openstack/flow-scene.ts';

const scenes: FlowScene[] = [];

/** A server that runs, in this task state. */
function running(
  taskState: string | null,
  vmState = 'active',
  here: 'active' | 'stopped' | 'paused' = 'active',
): FlowScene {
  const made = createFlowScene({ devices: [], instance: { vm_state: vmState, task_state: taskState, power_state: 1 } });
  made.compute.instances.set(server, here);
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

describe('power methods', () => {
  it.each([
    ['stop_instance', 'powering-off', 'active', { vm_state: 'stopped', power_state: 4 }, 'stop_instance'],
    ['start_instance', 'powering-on', 'stopped', { vm_state: 'active', power_state: 1 }, 'start_instance'],
    ['pause_instance', 'pausing', 'active', { vm_state: 'paused', power_state: 3 }, 'pause_vm'],
    ['unpause_instance', 'unpausing', 'paused', { vm_state: 'active', power_state: 1 }, 'unpause_vm'],
    ['suspend_instance', 'suspending', 'active', { vm_state: 'suspended', power_state: 4 }, 'suspend_instance'],
    ['resume_instance', 'resuming', 'stopped', { vm_state: 'active', power_state: 1 }, 'resume_instance'],
    ['soft_delete_instance', 'soft-deleting', 'active', { vm_state: 'soft-delete', power_state: 4 }, 'stop_instance'],
    ['restore_instance', 'restoring', 'stopped', { vm_state: 'active', power_state: 1 }, 'start_instance'],
  ] as const)('%s ends in nova’s state from its task state alone', async (method, task, here, saved, used) => {
    const one = running(task, 'active', here as 'active');
    await one.cast(method);
    await one.quiet();
    expect(one.nova.saves).toEqual([{ ...saved, task_state: null }]);
    expect(one.compute.submitted.map((each) => each.method)).toEqual([used]);
    expect(one.nova.events).toEqual([`start compute_${method}`, `finish compute_${method}`]);

    const other = running('deleting', 'active', here as 'active');
    await other.cast(method);
    await other.quiet();
    expect(other.nova.instance).toMatchObject({ vm_state: 'active', task_state: 'deleting' });
    expect(other.nova.faults).toEqual([]);
  });

  it('ends for a server that nova does not have, where it can’t even be told of the failure', async () => {
    const one = running('powering-off');
    one.compute.instances.clear();
    one.nova.instance = null;
    for (const method of ['reboot_instance', 'stop_instance', 'trigger_crash_dump']) await one.cast(method);
    await one.quiet();
    expect(one.store.unended()).toEqual([]);
    expect(one.flows.list(10).map(({ state }) => state)).toEqual(['failed', 'failed', 'failed']);
  });

  it('reboots by nova’s two states, softly or not', async () => {
    for (const [type, states] of [
      ['SOFT', ['rebooting', 'reboot_pending', 'reboot_started']],
      ['HARD', ['rebooting_hard', 'reboot_pending_hard', 'reboot_started_hard']],
    ] as const) {
      const one = running(states[0]);
      await one.cast('reboot_instance', { reboot_type: type });
      await one.quiet();
      expect(one.nova.saves.map(({ task_state: state }) => state)).toEqual([states[1], states[2], null]);
      expect(one.compute.submitted).toMatchObject([{ method: 'reboot_instance', args: { type: type.toLowerCase() } }]);
    }
  });

  it('stops at once where no clean shutdown is asked for, and nothing that is off', async () => {
    const one = running('powering-off');
    await one.cast('stop_instance', { clean_shutdown: false });
    await one.quiet();
    expect(one.compute.submitted).toMatchObject([{ args: { timeout: 0 } }]);

    const off = running('powering-off', 'active', 'stopped');
    await off.cast('stop_instance');
    await off.quiet();
    expect(off.compute.submitted).toEqual([]);
    expect(off.nova.instance?.vm_state).toBe('stopped');
  });

  it('puts the task state back with a fault where the node can’t, and into error where nova does', async () => {
    const refuse = (one: FlowScene): void => {
      one.compute.onSubmit = () => {
        throw new DpuError('unsupported', 'pause_vm is not supported on a BM node');
      };
    };
    const paused = running('pausing');
    refuse(paused);
    await paused.cast('pause_instance');
    await paused.quiet();
    expect(paused.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
    expect(paused.nova.faults).toMatchObject([{ message: 'pause_vm is not supported on a BM node' }]);
    expect(paused.nova.events.at(-1)).toContain('finish compute_pause_instance: pause_vm');

    const resumed = running('resuming', 'suspended', 'stopped');
    refuse(resumed);
    await resumed.cast('resume_instance');
    await resumed.quiet();
    expect(resumed.nova.instance).toMatchObject({ vm_state: 'error', task_state: null });
  });

  it('refuses what no node can do, and leaves no server in a task state', async () => {
    for (const method of ['live_migration', 'backup_instance', 'snapshot_instance']) {
      const one = running('busy-with-it');
      await one.cast(method);
      await one.quiet();
      expect(one.nova.instance, method).toMatchObject({ vm_state: 'active', task_state: null });
      expect(one.nova.faults, method).toHaveLength(1);
      expect(one.nova.events, method).toHaveLength(2);
    }
  });

  it('does requests for one server in the order in which they came', async () => {
    const one = running('powering-off');
    let stopped = (): void => {};
    const held = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    one.compute.onSubmit = (method) => {
      if (method !== 'stop_instance') return;
      if (one.nova.instance) one.nova.instance.task_state = 'powering-off';
      return held;
    };
    await one.cast('stop_instance');
    await one.cast('start_instance');
    one.compute.onSubmit = (method) => {
      if (method === 'start_instance' && one.nova.instance) one.nova.instance.task_state = 'powering-on';
    };
    stopped();
    await one.quiet();
    expect(one.compute.submitted.map(({ method }) => method)).toEqual(['stop_instance', 'start_instance']);
    expect(one.nova.instance?.vm_state).toBe('active');
  });
});

describe('terminate_instance', () => {
  it('ends for a server that neither nova nor the node knows', async () => {
    const one = running('deleting');
    one.compute.instances.clear();
    const args = { instance: nova('Instance', { ...one.nova.instance }) };
    one.nova.instance = null;
    const id = await one.cast('terminate_instance', args);
    await one.quiet();
    expect(one.store.get(id as Parameters<typeof one.store.get>[0])?.state).toBe('succeeded');
    expect(one.nova.events).toEqual(['start compute_terminate_instance', 'finish compute_terminate_instance']);
  });

  it('puts the server into error where the node can’t take it away, and ends at the next try', async () => {
    const one = running('deleting');
    const port = one.cloud.addPort({ deviceId: server });
    one.compute.failNext.set('destroy_instance', { code: 'hardware', message: 'the BMC is dead', retry: 'operator' });
    await one.cast('terminate_instance');
    await one.quiet();
    await expect.poll(() => one.nova.events.at(-1)).toContain('the BMC is dead');
    expect(one.nova.instance).toMatchObject({ vm_state: 'error', task_state: null });
    expect(one.nova.faults).toMatchObject([{ message: 'the BMC is dead' }]);
    expect(one.cloud.ports.has(port.id)).toBe(true);

    await one.cast('terminate_instance');
    await one.quiet();
    expect(one.nova.instance).toBeNull();
    expect(leftovers(one)).toEqual([]);
    expect(one.store.list(10).map(({ state }) => state)).toEqual(['succeeded', 'failed']);
  });

  it('keeps the user’s port and volume, and takes along what goes with the server', async () => {
    const one = running('deleting');
    const kept = one.cloud.addPort({ deviceId: server, bindingHost: 'dpu1' });
    one.cloud.addPort({ deviceId: server });
    one.nova.networkInfo = JSON.stringify([{ id: kept.id, preserve_on_delete: true }]);
    const volumes = [one.cloud.addVolume(), one.cloud.addVolume()];
    for (const [index, volume] of volumes.entries()) {
      const { id } = one.cloud.addAttachment(volume.id, server);
      one.nova.devices.set(index, {
        id: index,
        source_type: 'volume',
        volume_id: volume.id,
        attachment_id: id,
        delete_on_termination: index === 1,
      });
    }
    await one.cast('terminate_instance');
    await one.quiet();
    expect(leftovers(one, [kept.id, volumes[0]?.id ?? ''])).toEqual([]);
    expect([...one.cloud.volumes.keys()]).toEqual([volumes[0]?.id]);
    expect([...one.cloud.ports.keys()]).toEqual([kept.id]);
    expect(one.nova.casts.map(({ method }) => method)).toEqual(['delete_instance_info']);
  });
});
