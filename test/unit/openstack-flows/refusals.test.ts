/** What a service refuses for good while a server is taken back or deleted. */
import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import { requestView } from '../../../platform-adapter/openstack/request-view.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  leftovers,
  server,
} from '../../support/openstack/flow-scene.ts';
import { until } from '../../support/wait.ts';

const hardware = { code: 'hardware', message: 'the host does not start', retry: 'operator' } as const;
const retry = { filter_properties: { retry: { num_attempts: 1, hosts: [] } }, host_list: ['next'] };

let scene: FlowScene;

afterEach(async () => {
  await scene.close();
});

/** A service's refusal of these calls, until it is told otherwise. */
function refuse(...calls: readonly string[]): void {
  scene.cloud.onCall = (name) => {
    if (calls.includes(name)) throw new DpuError('conflict', `it refuses ${name}`);
  };
}

async function failingBuild(): Promise<void> {
  scene.compute.failNext.set('build_and_run_instance', hardware);
  scene.cloud.allocations.add(server);
  await scene.cast('build_and_run_instance', buildArguments(scene, retry));
  await scene.quiet();
}

/** Nova is told of what is stuck: the server is in error, and still this host's. */
async function told(): Promise<void> {
  await until('nova was told', async () => scene.nova.instance?.vm_state === 'error', 5_000);
  expect(scene.nova.instance).toMatchObject({ task_state: null, host });
}

async function terminate(): Promise<void> {
  if (scene.nova.instance) scene.nova.instance.task_state = 'deleting';
  await scene.cast('terminate_instance');
  await scene.quiet();
}

describe('a build that fails', () => {
  it.each([
    ['neutron.deletePort', 'ports'],
    ['cinder.deleteAttachment', 'volumes'],
    ['cinder.deleteVolume', 'volumes'],
  ])('gives back all else where %s is refused, and says so; a delete tries again', async (call, stage) => {
    scene = createFlowScene();
    refuse(call);
    await failingBuild();
    expect(scene.nova.instance).toMatchObject({ vm_state: 'error', task_state: null, host });
    expect(scene.nova.casts).toEqual([]);
    expect(scene.nova.faults).toMatchObject([{ message: hardware.message }]);
    expect(scene.nova.events.at(-1)).toContain(`: ${hardware.message}`);
    const [flow] = scene.flows.list(1).map(requestView);
    expect(flow).toMatchObject({ state: 'failed', error: { message: hardware.message } });
    expect(flow?.left).toEqual([`${stage}: it refuses ${call}`]);
    expect(scene.cloud.ports.size).toBe(stage === 'ports' ? 1 : 0);
    expect(scene.cloud.volumes.size).toBe(stage === 'volumes' ? 1 : 0);
    expect(scene.cloud.allocations.size).toBe(0);
    refuse();
    await terminate();
    expect(scene.nova.instance).toBeNull();
    expect(leftovers(scene)).toEqual([]);
  });

  it('has a port that stays deleted with it, whatever Neutron tells of it meanwhile', async () => {
    scene = createFlowScene();
    const given = scene.cloud.addPort();
    refuse('neutron.deletePort', 'neutron.updatePort');
    scene.cloud.allocations.add(server);
    await scene.cast('build_and_run_instance', buildArguments(scene, retry, [given.id]));
    await scene.quiet();
    expect(scene.cloud.ports.size).toBe(2);
    await scene.cast('network_changed', { instance: server, key: given.id });
    await scene.quiet();
    refuse();
    await terminate();
    expect(leftovers(scene, [given.id])).toEqual([]);
  });

  it('has a volume deleted with it that no mapping knew of', async () => {
    scene = createFlowScene();
    scene.cloud.onCall = (name) => {
      if (name === 'cinder.waitForVolume') throw new DpuError('bad_state', 'the volume is in error');
      if (name === 'cinder.deleteVolume') throw new DpuError('bad_state', 'it is still being made');
    };
    scene.cloud.allocations.add(server);
    await scene.cast('build_and_run_instance', buildArguments(scene));
    await scene.quiet();
    expect(scene.nova.instance).toMatchObject({ vm_state: 'error', host });
    expect(scene.nova.devices.get(1)).toMatchObject({ volume_id: null });
    refuse();
    await terminate();
    expect(leftovers(scene)).toEqual([]);
  });

  it('is another thing than a server in error that was whole: a volume that its user took from it stays', async () => {
    scene = createFlowScene();
    scene.cloud.allocations.add(server);
    await scene.cast('build_and_run_instance', buildArguments(scene));
    await scene.quiet();
    const [volume = ''] = [...scene.cloud.volumes.keys()];
    scene.nova.devices.clear();
    scene.cloud.attachments.clear();
    Object.assign(scene.cloud.volumes.get(volume) ?? {}, { status: 'available' });
    Object.assign(scene.nova.instance ?? {}, { vm_state: 'error' });
    await terminate();
    expect([...scene.cloud.volumes.keys()]).toEqual([volume]);
  });

  it('gives away no port and no volume of an instance that the node cannot take off', async () => {
    scene = createFlowScene();
    scene.compute.failNext.set('destroy_instance', hardware);
    await failingBuild();
    await told();
    const [flow] = scene.flows.list(1).map(requestView);
    expect(flow).toMatchObject({ state: 'stuck', left: [] });
    expect(scene.cloud.ports.size).toBe(1);
    expect(scene.cloud.attachments.size).toBe(1);
    await terminate();
    expect(scene.nova.instance).toBeNull();
    expect(leftovers(scene)).toEqual([]);
  });
});

describe('a delete', () => {
  it.each(['cinder.deleteAttachment', 'cinder.deleteVolume'])('goes on where %s is refused', async (call) => {
    scene = createFlowScene();
    scene.cloud.allocations.add(server);
    await scene.cast('build_and_run_instance', buildArguments(scene));
    await scene.quiet();
    refuse(call);
    await terminate();
    expect(scene.nova.instance).toBeNull();
    expect(scene.cloud.ports.size).toBe(0);
    expect(scene.cloud.volumes.size).toBe(1);
  });

  it('puts the server into error where Neutron keeps a port, and can be asked for again', async () => {
    scene = createFlowScene();
    scene.cloud.allocations.add(server);
    await scene.cast('build_and_run_instance', buildArguments(scene));
    await scene.quiet();
    refuse('neutron.deletePort');
    await terminate();
    await told();
    expect(scene.nova.faults).toMatchObject([{ message: 'it refuses neutron.deletePort' }]);
    refuse();
    await terminate();
    expect(scene.nova.instance).toBeNull();
    expect(leftovers(scene)).toEqual([]);
  });
});

describe('a stuck request', () => {
  it('is told to nova when nova is back, in whatever life', async () => {
    scene = createFlowScene();
    let away = false;
    const { onCall } = scene.nova;
    scene.nova.onCall = (name) => {
      if (away) throw new DpuError('unavailable', 'nova is away');
      return onCall(name);
    };
    scene.onWrite = () => {
      // nova goes when the flow is stuck
      if (scene.compute.submitted.some(({ method }) => method === 'destroy_instance')) away = true;
    };
    scene.compute.failNext.set('destroy_instance', hardware);
    await failingBuild();
    expect(scene.flows.list(1)).toMatchObject([{ state: 'stuck' }]);
    await scene.nextLife();
    expect(scene.nova.instance).toMatchObject({ vm_state: 'building', task_state: 'spawning' });
    away = false;
    await told();
    expect(scene.nova.faults).toHaveLength(1);
    await scene.nextLife();
    expect(scene.nova.faults).toHaveLength(1);
  });
});

describe('a volume that Cinder has extended', () => {
  it('is larger in the mapping, and its action and a fault say where the instance does not see it', async () => {
    scene = createFlowScene();
    await scene.cast('build_and_run_instance', buildArguments(scene));
    await scene.quiet();
    const [volume] = scene.cloud.volumes.values();
    if (volume === undefined) throw new Error('the server has no volume');
    scene.compute.bindings.push({ function_id: 'f', instance: server, volume_id: volume.id, port_id: null });
    scene.cloud.volumes.set(volume.id, { ...volume, sizeGib: 9 });
    scene.compute.failNext.set('resize_volume', { ...hardware, message: 'the disk stays as it is' });
    await scene.cast('volume_extended', { instance: server, key: volume.id });
    await scene.quiet();
    expect(scene.nova.devices.get(1)).toMatchObject({ volume_size: 9 });
    expect(scene.nova.events.slice(-2)).toEqual([
      'start compute_extend_volume',
      'finish compute_extend_volume: the disk stays as it is',
    ]);
    expect(scene.nova.faults).toMatchObject([{ message: 'the disk stays as it is' }]);
    expect(scene.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
  });
});
