/** The zone of a server is that of its host: nova-conductor sends it with the host that it has chosen, and saves it nowhere. */
import { afterEach, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../core/units.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  nova,
  type SceneOptions,
  server,
} from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** A server that nova has, and what a flow makes of it: sent with another zone than nova's database has. */
async function sentTo(method: string, options: SceneOptions, args: JsonObject): Promise<FlowScene> {
  const one = createFlowScene(options);
  scene = one;
  one.cloud.allocations.add(server);
  const sent = nova('Instance', { ...one.nova.instance, availability_zone: 'zone-2' }) as Json;
  await one.cast(method, { instance: sent, ...args });
  await one.quiet();
  return one;
}

const here = { host, node: host, launched_on: host, availability_zone: 'zone-2' };

it('is saved where a server is unshelved', async () => {
  const instance = { vm_state: 'shelved_offloaded', task_state: 'unshelving', availability_zone: null };
  const { nova: records } = await sentTo('unshelve_instance', { devices: [], instance }, { image: null });
  expect(records.instance).toMatchObject({ ...here, vm_state: 'active' });
});

it('is saved where a server is evacuated to this host', async () => {
  const instance = { vm_state: 'active', task_state: 'rebuilding', host: 'other', availability_zone: 'zone-1' };
  const { nova: records } = await sentTo('rebuild_instance', { devices: [], instance }, { recreate: true });
  expect(records.instance).toMatchObject({ ...here, vm_state: 'active' });
});

it('is saved before a server moves to this host', async () => {
  const instance = { vm_state: 'active', task_state: 'resize_prep', host: 'other', availability_zone: 'zone-1' };
  const devices: readonly JsonObject[] = [];
  const migration = { id: 7, uuid: 'm', status: 'pre-migrating', source_compute: 'other' };
  scene = createFlowScene({ devices, instance });
  scene.nova.migrations.set(7, migration);
  const flavor = {
    ...(scene.nova.instance?.flavor as JsonObject),
    'nova_object.data': { id: 2, flavorid: '2', vcpus: 1, memory_mb: 1, root_gb: 1, ephemeral_gb: 0 },
  };
  const sent = nova('Instance', { ...scene.nova.instance, availability_zone: 'zone-2' }) as Json;
  await scene.cast('prep_resize', { instance: sent, migration: nova('Migration', migration), flavor });
  await scene.quiet();
  expect(scene.nova.casts.map(({ method }) => method)).toEqual(['resize_instance']);
  expect(scene.nova.instance).toMatchObject({ host: 'other', availability_zone: 'zone-2' });
});

it.each([
  [{ retry: { num_attempts: 1, hosts: [] } }, { vm_state: 'building', task_state: 'scheduling' }],
  [{}, { vm_state: 'error', task_state: null }],
])('is none where a build failed, with the host: %o', async (filter_properties, state) => {
  const one = createFlowScene();
  scene = one;
  one.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'no', retry: 'backoff' });
  await one.cast('build_and_run_instance', buildArguments(one, { filter_properties }));
  await one.quiet();
  const nowhere = { host: null, node: null, launched_on: null, availability_zone: null };
  expect(one.nova.instance).toMatchObject({ ...nowhere, ...state });
  // it is given to the conductor as it is, which saves the zone of the next host as a change
  const [back] = one.nova.casts.map(({ args }) => (args.instances as readonly Json[])[0]);
  if (state.task_state !== null) expect(back).toMatchObject({ 'nova_object.data': { ...nowhere, ...state } });
});
