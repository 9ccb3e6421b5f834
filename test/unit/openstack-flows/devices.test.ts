/** NICs and volumes that a server gets and loses after its build. */
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import { systemClock } from '../../../kit/clock.ts';
import { systemRandom } from '../../../kit/random.ts';
import { adminContext } from '../../../platform-adapter/openstack/wire/context.ts';
import { network } from '../../support/openstack/fake-services.ts';
import { createFlowScene, type FlowScene, host, nova, server } from '../../support/openstack/flow-scene.ts';

const scenes: FlowScene[] = [];

function scene(): FlowScene {
  const made = createFlowScene({ devices: [], instance: { vm_state: 'active', task_state: null, power_state: 1 } });
  made.compute.instances.set(server, 'active');
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

const vifs = (one: FlowScene): readonly JsonObject[] => JSON.parse(one.nova.networkInfo) as readonly JsonObject[];
const hardware = { code: 'busy', message: 'the host does not let go', retry: 'backoff' } as const;

async function attachInterface(one: FlowScene, args: JsonObject = { network_id: network }) {
  const id = await one.cast('attach_interface', args);
  await one.quiet();
  return one.store.get(id as never);
}

describe('attach_interface', () => {
  it('makes a port, binds it, shows it to the instance, and answers the NIC of nova', async () => {
    const one = scene();
    const record = await attachInterface(one);
    const [port] = [...one.cloud.ports.values()];
    expect(port).toMatchObject({ deviceId: server, bindingHost: host, status: 'ACTIVE' });
    expect(record).toMatchObject({ state: 'succeeded', result: { id: port?.id, preserve_on_delete: false } });
    expect(vifs(one)).toMatchObject([{ id: port?.id }]);
    expect(one.compute.submitted).toMatchObject([
      { method: 'attach_interface', args: { network: { port_id: port?.id, mac: port?.macAddress } } },
    ]);
    expect([...one.nova.virtualInterfaces.keys()]).toEqual([port?.id]);
  });

  it('makes another on the same network, and keeps what the user gave', async () => {
    const one = scene();
    await attachInterface(one);
    await attachInterface(one);
    const given = one.cloud.addPort();
    await attachInterface(one, { port_id: given.id });
    expect(one.cloud.ports.size).toBe(3);
    expect(vifs(one).map((each) => each.preserve_on_delete)).toEqual([false, false, true]);
  });

  it('leaves no port of an attach that the host refuses, and a given one unbound', async () => {
    const one = scene();
    for (const args of [{ network_id: network }, { port_id: one.cloud.addPort().id }]) {
      one.compute.failNext.set('attach_interface', hardware);
      const record = await attachInterface(one, args);
      expect(record?.state).toBe('failed');
    }
    expect([...one.cloud.ports.values()]).toMatchObject([{ deviceId: '', bindingHost: '' }]);
    expect(one.nova.virtualInterfaces.size).toBe(0);
    expect(vifs(one)).toEqual([]);
    expect(one.nova.faults).toHaveLength(2);
    expect(one.nova.saves).toEqual([]);
  });
});

describe('detach_interface', () => {
  it('takes the NIC from the host, then the port, then the record', async () => {
    const one = scene();
    await attachInterface(one);
    const [port] = [...one.cloud.ports.keys()];
    await one.cast('detach_interface', { port_id: port ?? '' });
    await one.quiet();
    expect([one.cloud.ports.size, one.nova.virtualInterfaces.size, vifs(one).length]).toEqual([0, 0, 0]);
    expect(one.compute.bindings).toEqual([]);
    await one.cast('detach_interface', { port_id: port ?? '' });
    await one.quiet();
    expect(one.nova.faults).toMatchObject([{ code: 404 }]);
  });

  it('keeps all where the host does not let go', async () => {
    const one = scene();
    await attachInterface(one);
    const [port] = [...one.cloud.ports.keys()];
    one.compute.failNext.set('detach_interface', hardware);
    await one.cast('detach_interface', { port_id: port ?? '' });
    await one.quiet();
    expect([...one.cloud.ports.values()]).toMatchObject([{ deviceId: server, bindingHost: host }]);
    expect(vifs(one)).toHaveLength(1);
    expect(one.nova.faults).toHaveLength(1);
  });

  it('follows a port that was deleted in Neutron, and is quiet for a server that is gone', async () => {
    const one = scene();
    await attachInterface(one);
    await attachInterface(one);
    const [lost, kept] = [...one.cloud.ports.keys()];
    one.cloud.ports.delete(lost ?? '');
    await one.flows.accept({ ...told(), args: { instance: server, key: lost } });
    await one.quiet();
    expect(vifs(one).map(({ id }) => id)).toEqual([kept]);
    expect(one.compute.bindings.map(({ port_id }) => port_id)).toEqual([kept]);
    one.nova.instance = null;
    const { id } = await one.flows.accept({ ...told(), args: { instance: server, key: kept } });
    await one.quiet();
    expect(one.store.get(id)?.state).toBe('succeeded');
  });
});

/** What nova-api tells of a port, but for which. */
function told() {
  const context = adminContext({ clock: systemClock, random: systemRandom });
  return { method: 'vif_deleted', uniqueId: null, received: { context, credentials: null } };
}

/** As nova-api does: the name is reserved, the attachment made, and the mapping sent. */
async function attachVolume(one: FlowScene, volume: string): Promise<void> {
  await one.cast('reserve_block_device_name', { volume_id: volume });
  await one.quiet();
  const device = [...one.nova.devices.values()].find(({ volume_id }) => volume_id === volume);
  if (!device) throw new Error('no name was reserved');
  device.attachment_id = one.cloud.addAttachment(volume, server).id;
  await one.cast('attach_volume', { bdm: nova('BlockDeviceMapping', device) });
  await one.quiet();
}

describe('what a driver without the trait refuses', () => {
  it.each([
    ['a tagged NIC', 'attach_interface', { network_id: network, tag: 'web' }, 'Tagged network interface'],
    ['a tagged disk', 'reserve_block_device_name', { tag: 'db' }, 'Tagged volume'],
    ['a disk of several servers', 'reserve_block_device_name', { multiattach: true }, "has 'multiattach' set"],
  ])('is %s', async (_, method, args, why) => {
    const one = scene();
    await one.cast(method, { volume_id: one.cloud.addVolume().id, ...args });
    await one.quiet();
    expect(one.nova.faults).toMatchObject([{ message: expect.stringContaining(why) }]);
    expect([one.nova.devices.size, one.cloud.ports.size, one.compute.submitted.length]).toEqual([0, 0, 0]);
  });
});

describe('attach_volume', () => {
  it('reserves the next name once, attaches, and is complete when the host has the disk', async () => {
    const one = scene();
    const [first, second] = [one.cloud.addVolume(), one.cloud.addVolume()];
    const order: string[] = [];
    one.cloud.onCall = (name) => void (name.startsWith('cinder.') && order.push(name));
    one.compute.onSubmit = (method) => void order.push(method);
    await attachVolume(one, first.id);
    expect(order.filter((each) => /attach|Attach/.test(each)).slice(-3)).toEqual([
      'cinder.updateAttachment',
      'attach_volume',
      'cinder.completeAttachment',
    ]);
    await one.cast('reserve_block_device_name', { volume_id: first.id });
    await one.quiet();
    await attachVolume(one, second.id);
    expect([...one.nova.devices.values()].map(({ device_name }) => device_name)).toEqual(['/dev/vda', '/dev/vdb']);
    expect([...one.cloud.attachments.values()].map(({ connectionInfo }) => connectionInfo?.data)).toMatchObject([
      { for_device: '/dev/vda' },
      { for_device: '/dev/vdb' },
    ]);
    expect([...one.cloud.volumes.values()].map(({ status }) => status)).toEqual(['in-use', 'in-use']);
  });

  it('has no second mapping for a volume that another request attaches, and the first one stays', async () => {
    const one = scene();
    const { id } = one.cloud.addVolume();
    await one.cast('reserve_block_device_name', { volume_id: id });
    await one.quiet();
    const [mapping] = [...one.nova.devices.values()];
    await one.cast('reserve_block_device_name', { volume_id: id });
    await one.quiet();
    expect([...one.nova.devices.values()]).toEqual([mapping]);
    expect(one.nova.faults).toMatchObject([{ message: `Invalid volume: volume ${id} already attached` }]);
  });

  it('leaves no mapping and no attachment where the host refuses it', async () => {
    const one = scene();
    const { id } = one.cloud.addVolume();
    one.compute.failNext.set('attach_volume', hardware);
    await attachVolume(one, id);
    expect([one.nova.devices.size, one.cloud.attachments.size]).toEqual([0, 0]);
    expect(one.cloud.volumes.get(id)?.status).toBe('available');
    expect(one.nova.faults).toHaveLength(1);
  });
});

describe('detach_volume', () => {
  it('takes it from the host first, and rolls back where the host keeps it', async () => {
    const one = scene();
    const { id } = one.cloud.addVolume();
    await attachVolume(one, id);
    one.cloud.volumes.set(id, { ...one.cloud.addVolume({ id }), status: 'detaching' });
    one.compute.failNext.set('detach_volume', hardware);
    await one.cast('detach_volume', { volume_id: id, attachment_id: null });
    await one.quiet();
    expect(one.cloud.volumes.get(id)?.status).toBe('in-use');
    expect([one.nova.devices.size, one.cloud.attachments.size]).toEqual([1, 1]);
    await one.cast('detach_volume', { volume_id: id, attachment_id: null });
    await one.quiet();
    expect([one.nova.devices.size, one.cloud.attachments.size, one.compute.bindings.length]).toEqual([0, 0, 0]);
    expect(one.cloud.volumes.get(id)?.status).toBe('available');
  });

  it('takes it from the host alone where it is to be attached anew, and has it again at the next start', async () => {
    const one = scene();
    const { id } = one.cloud.addVolume();
    await attachVolume(one, id);
    one.compute.instances.set(server, 'stopped');
    Object.assign(one.nova.instance ?? {}, { vm_state: 'stopped', task_state: null });
    const [old] = [...one.cloud.attachments.keys()];
    await one.cast('remove_volume_connection', { volume_id: id });
    await one.quiet();
    expect(one.compute.bindings).toEqual([]);
    expect([...one.cloud.attachments.keys()]).toEqual([old]);

    // what nova-manage does behind that
    one.cloud.attachments.delete(old ?? '');
    const made = one.cloud.addAttachment(id, server);
    for (const [key, device] of one.nova.devices) one.nova.devices.set(key, { ...device, attachment_id: made.id });
    if (one.nova.instance) one.nova.instance.task_state = 'powering-on';
    await one.cast('start_instance');
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
    expect(one.compute.bindings).toMatchObject([{ instance: server, volume_id: id }]);
    expect([...one.cloud.attachments.values()]).toMatchObject([{ id: made.id, status: 'attached' }]);

    await one.cast('remove_volume_connection', { volume_id: id, delete_attachment: true });
    await one.quiet();
    expect([one.compute.bindings.length, one.cloud.attachments.size]).toEqual([0, 0]);
  });

  it('refuses to swap one, and gives the new one back', async () => {
    const one = scene();
    const [old, other] = [one.cloud.addVolume(), one.cloud.addVolume()];
    await attachVolume(one, old.id);
    one.cloud.volumes.set(old.id, { ...old, status: 'detaching' });
    const attachment = one.cloud.addAttachment(other.id, server);
    await one.cast('swap_volume', {
      old_volume_id: old.id,
      new_volume_id: other.id,
      new_attachment_id: attachment.id,
    });
    await one.quiet();
    expect(one.cloud.volumes.get(old.id)?.status).toBe('in-use');
    expect([...one.cloud.attachments.values()].map(({ volumeId }) => volumeId)).toEqual([old.id]);
  });
});
