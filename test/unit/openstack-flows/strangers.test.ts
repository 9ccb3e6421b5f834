/** Volumes and ports of other projects that say that they are a server's: anybody can write that on its own. */
import { afterEach, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  imageDevice,
  server,
} from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

const forBuild = { dpu_compute_instance: server, dpu_compute_device: String(imageDevice.uuid) };

/** A scene with a volume of another project. */
function withStranger(metadata: Readonly<Record<string, string>>, instance: JsonObject = {}): [FlowScene, string] {
  const one = createFlowScene({ instance });
  scene = one;
  one.cloud.allocations.add(server);
  return [one, one.cloud.addVolume({ projectId: 'stranger', metadata }).id];
}

it('are no disk of a server that is built', async () => {
  const [one, stranger] = withStranger(forBuild);
  await one.cast('build_and_run_instance', buildArguments(one));
  await one.quiet();
  expect(one.nova.instance).toMatchObject({ vm_state: 'active' });
  expect(one.nova.devices.get(1)?.volume_id).not.toBe(stranger);
  expect(one.cloud.volumes.size).toBe(2);
});

it('are no NIC of a server that is built, though they are on its network', async () => {
  const [one] = withStranger({});
  const { id } = one.cloud.addPort({ projectId: 'stranger', deviceId: server });
  await one.cast('build_and_run_instance', buildArguments(one));
  await one.quiet();
  expect(one.nova.instance).toMatchObject({ vm_state: 'active' });
  const networks = one.compute.submitted[0]?.args.networks;
  expect(networks).toHaveLength(1);
  expect(networks).not.toMatchObject([{ port_id: id }]);
  expect(one.cloud.ports.get(id)).toMatchObject({ bindingHost: '' });
});

it('are left alone by a build that fails, and in nobody’s way', async () => {
  const [one, stranger] = withStranger(forBuild);
  one.cloud.addAttachment(stranger, 'a-server-of-the-stranger');
  one.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'no', retry: 'never' });
  await one.cast('build_and_run_instance', buildArguments(one));
  await one.quiet();
  expect(one.nova.instance).toMatchObject({ vm_state: 'error', host: null });
  expect([...one.cloud.volumes.keys()]).toEqual([stranger]);
  await one.cast('terminate_instance');
  await one.quiet();
  expect([...one.cloud.volumes.keys()]).toEqual([stranger]);
});

it('are nothing that a server is rescued with', async () => {
  const state = { vm_state: 'active', task_state: 'rescuing', host, launched_at: 'then' };
  const [one, stranger] = withStranger({ dpu_compute_rescue: server }, state);
  one.compute.instances.set(server, 'active');
  await one.cast('rescue_instance', { rescue_image_ref: 'image-1' });
  await one.quiet();
  expect(one.nova.instance).toMatchObject({ vm_state: 'rescued' });
  const [rescue] = one.compute.submitted.filter(({ method }) => method === 'rescue_instance');
  expect(rescue?.args.volume).toMatchObject({ volume_id: expect.not.stringMatching(stranger) as string });
});
