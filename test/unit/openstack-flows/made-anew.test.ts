import { randomUUID } from 'node:crypto';
/** Servers that leave their host, come to one, or are made anew, with the ports and volumes that they have. */
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  leftovers,
  server,
} from '../../support/openstack/flow-scene.ts';

const scenes: FlowScene[] = [];
afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

/** A server with a NIC and a volume that was made from its image. */
async function built(): Promise<FlowScene> {
  const one = createFlowScene();
  scenes.push(one);
  one.cloud.allocations.add(server);
  await one.cast('build_and_run_instance', buildArguments(one));
  await one.quiet();
  expect(one.nova.instance).toMatchObject({ vm_state: 'active', host });
  one.nova.saves.length = 0;
  one.compute.submitted.length = 0;
  return one;
}

/** As the API does before it casts. */
function asks(one: FlowScene, state: JsonObject): void {
  Object.assign(one.nova.instance ?? {}, state);
}

const volumeOf = (one: FlowScene): string => [...one.cloud.volumes.keys()].join();
const attachmentsOf = (one: FlowScene) => [...one.cloud.attachments.values()];
const states = (one: FlowScene) => one.nova.saves.map(({ vm_state, task_state }) => [vm_state, task_state]);
const methods = (one: FlowScene) => one.compute.submitted.map(({ method }) => method);

async function shelve(one: FlowScene): Promise<void> {
  asks(one, { task_state: 'shelving' });
  await one.cast('shelve_offload_instance', { clean_shutdown: true }, 'shelve');
  await one.quiet();
}

async function unshelve(one: FlowScene, image: JsonObject | null = null): Promise<void> {
  one.cloud.allocations.add(server);
  asks(one, { task_state: 'unshelving' });
  await one.cast('unshelve_instance', { image });
  await one.quiet();
}

describe('shelve_offload_instance', () => {
  it('takes the instance off the node; ports and volumes stay the server’s, and no host has them', async () => {
    const one = await built();
    const [volume, ports] = [volumeOf(one), [...one.cloud.ports.keys()]];
    await shelve(one);
    expect(methods(one)).toEqual(['stop_instance', 'destroy_instance']);
    expect(one.nova.instance).toMatchObject({
      vm_state: 'shelved_offloaded',
      task_state: null,
      host: null,
      node: null,
    });
    expect([volumeOf(one), [...one.cloud.ports.keys()]]).toEqual([volume, ports]);
    expect(attachmentsOf(one)).toMatchObject([{ status: 'reserved', instance: server, connectionInfo: null }]);
    expect(one.nova.devices.get(1)).toMatchObject({
      attachment_id: attachmentsOf(one)[0]?.id,
      connection_info: null,
    });
    expect([...one.cloud.allocations]).toEqual([]);
    expect(one.nova.casts.at(-1)).toMatchObject({ topic: 'scheduler', method: 'delete_instance_info' });
  });
});

describe('shelve_offload_instance, killed when the host has gone', () => {
  it('does not take the server from the host that has it by then', async () => {
    const first = await built();
    const before = first.writes();
    await shelve(first);
    const last = first.writes() - before - 2; // the end of the event is the last
    const one = await built();
    const died = one.dieAt(one.writes() + last, false);
    void shelve(one);
    await died;
    expect(one.nova.instance).toMatchObject({ vm_state: 'shelved_offloaded', host: null });
    asks(one, { host: 'other', node: 'other', vm_state: 'active' });
    await one.nextLife();
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ host: 'other', node: 'other', vm_state: 'active' });
    expect(one.flows.list(1)).toMatchObject([{ state: 'succeeded' }]);
  });
});

describe('unshelve_instance', () => {
  it('builds the instance again of what the server has', async () => {
    const one = await built();
    await shelve(one);
    const volume = volumeOf(one);
    one.nova.saves.length = 0;
    one.compute.submitted.length = 0;
    await unshelve(one);
    expect(states(one).at(-1)).toEqual(['active', null]);
    expect(one.nova.instance).toMatchObject({ host, node: host, launched_on: host });
    expect(one.compute.submitted).toMatchObject([
      { method: 'build_and_run_instance', args: { uuid: server, volumes: [{ volume_id: volume, bootable: true }] } },
    ]);
    expect(attachmentsOf(one)).toMatchObject([{ status: 'attached' }]);
    // what was made for the server still goes with it
    expect(JSON.parse(one.nova.networkInfo)).toMatchObject([{ preserve_on_delete: false }]);
    asks(one, { task_state: 'deleting' });
    await one.cast('terminate_instance');
    await one.quiet();
    expect(leftovers(one)).toEqual([]);
  });

  it('is shelved as before where the node can’t have it', async () => {
    const one = await built();
    await shelve(one);
    const error = { code: 'exhausted', message: 'no more functions', retry: 'operator' } as const;
    one.compute.failNext.set('build_and_run_instance', error);
    await unshelve(one);
    expect(one.nova.instance).toMatchObject({ vm_state: 'shelved_offloaded', task_state: null, host: null });
    expect(attachmentsOf(one)).toMatchObject([{ status: 'reserved', connectionInfo: null }]);
    expect(one.nova.faults).toHaveLength(1);
    expect([...one.cloud.allocations]).toEqual([]);
    expect(one.compute.instances.get(server)).toBe('deleted');
  });

  it('keeps no place on a node that has another instance by now', async () => {
    const one = await built();
    await shelve(one);
    one.compute.instances.set(randomUUID(), 'active');
    await unshelve(one);
    expect(one.nova.instance).toMatchObject({ vm_state: 'shelved_offloaded', task_state: null, host: null });
    expect(one.nova.faults).toHaveLength(1);
    expect([...one.cloud.allocations]).toEqual([]);
  });
});

async function rebuild(one: FlowScene, more: JsonObject = {}): Promise<void> {
  asks(one, { task_state: 'rebuilding' });
  await one.cast('rebuild_instance', { image_ref: 'image-2', recreate: false, new_pass: null, ...more });
  await one.quiet();
}

describe('rebuild_instance', () => {
  it.each([
    [{}, {}],
    [{ reimage_boot_volume: true }, { image_id: 'image-2' }],
  ])('keeps what is on the volume that a user boots from, made of an image or not: %o', async (more, imageMetadata) => {
    const one = await built();
    asks(one, { image_ref: '' });
    await rebuild(one, more);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', image_ref: '' });
    expect([...one.cloud.volumes.values()]).toMatchObject([{ imageMetadata }]);
    expect([...one.cloud.volumes.values()][0]?.imageMetadata).toEqual(imageMetadata);
  });

  it('destroys, fills the disk anew, and builds with the same ports and volumes', async () => {
    const one = await built();
    const [volume, ports] = [volumeOf(one), [...one.cloud.ports.keys()]];
    asks(one, { image_ref: 'image-1' });
    await rebuild(one);
    expect(methods(one)).toEqual(['destroy_instance', 'build_and_run_instance']);
    expect(states(one)).toEqual([
      [undefined, 'rebuilding'],
      [undefined, 'rebuild_block_device_mapping'],
      [undefined, undefined], // its image
      [undefined, 'rebuild_spawning'],
      ['active', null],
    ]);
    expect(one.cloud.volumes.get(volume)?.imageMetadata).toEqual({ image_id: 'image-2' });
    expect(one.nova.devices.get(1)).toMatchObject({ volume_id: volume, image_id: 'image-2' });
    expect(one.nova.instance).toMatchObject({ image_ref: 'image-2' });
    expect([volumeOf(one), [...one.cloud.ports.keys()]]).toEqual([volume, ports]);
    expect(attachmentsOf(one)).toMatchObject([{ status: 'attached' }]);
  });

  it('leaves one that was off, off', async () => {
    const one = await built();
    one.compute.instances.set(server, 'stopped');
    asks(one, { vm_state: 'stopped' });
    await rebuild(one);
    expect(methods(one).at(-1)).toBe('stop_instance');
    expect(one.nova.instance).toMatchObject({ vm_state: 'stopped', power_state: 4, task_state: null });
  });

  it('puts the server into error where the build fails, with its volumes its own', async () => {
    const one = await built();
    const error = { code: 'hardware', message: 'the card is broken', retry: 'operator' } as const;
    one.compute.failNext.set('build_and_run_instance', error);
    await rebuild(one);
    expect(one.nova.instance).toMatchObject({ vm_state: 'error', task_state: null });
    expect(one.nova.faults).toHaveLength(1);
    expect(attachmentsOf(one)).toMatchObject([{ status: 'reserved' }]);
    expect(one.cloud.volumes.size).toBe(1);
  });

  it.each([
    ['attached', 'in-use'],
    ['attaching', 'attaching'],
  ])('takes a server over from a host that is down (its disk %s there)', async (status, ofVolume) => {
    const one = await built();
    const old = attachmentsOf(one).map(({ id }) => id);
    const { attachments, volumes } = one.cloud;
    for (const [id, attachment] of attachments) attachments.set(id, { ...attachment, status });
    for (const [id, volume] of volumes) volumes.set(id, { ...volume, status: ofVolume });
    // this node never had it
    await one.compute.service.submit('destroy_instance', { uuid: server }, { by: 'test' });
    one.compute.submitted.length = 0;
    one.nova.migrations.set(7, { id: 7, uuid: 'm', status: 'accepted', migration_type: 'evacuation' });
    for (const [id, port] of one.cloud.ports) one.cloud.ports.set(id, { ...port, bindingHost: 'dead' });
    asks(one, { host: 'dead', node: 'dead' });
    const migration = {
      'nova_object.name': 'Migration',
      'nova_object.namespace': 'nova',
      'nova_object.version': '1.7',
      'nova_object.data': one.nova.migrations.get(7) ?? {},
    };
    await rebuild(one, { recreate: true, migration });
    expect(methods(one)).toEqual(['build_and_run_instance']);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null, host, node: host });
    expect(one.nova.migrations.get(7)).toMatchObject({ status: 'done', dest_compute: host });
    expect([...one.cloud.ports.values()]).toMatchObject([{ bindingHost: host }]);
    expect(attachmentsOf(one).some(({ id }) => old.includes(id))).toBe(false);
    expect([...one.cloud.volumes.values()]).toMatchObject([{ imageMetadata: {} }]);
  });

  it.each([
    ['active', 'stopped', 4],
    ['error', 'active', 1],
  ] as const)(
    'leaves one that was %s %s where its caller wants it stopped (compute RPC 6.2)',
    async (before, after, power) => {
      const one = await built();
      await one.compute.service.submit('destroy_instance', { uuid: server }, { by: 'test' });
      asks(one, { host: 'dead', node: 'dead', vm_state: before });
      await rebuild(one, { recreate: true, migration: null, target_state: 'stopped' });
      expect(one.nova.instance).toMatchObject({ vm_state: after, power_state: power, task_state: null, host });
      expect(one.compute.instances.get(server)).toBe(after);
    },
  );
});
