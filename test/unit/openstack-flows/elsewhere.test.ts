import { afterEach, describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../core/units.ts';
import {
  createFlowScene,
  type FlowScene,
  host,
  imageDevice,
  nova,
  server,
} from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** A request that was made when the server was on this host; it is on another now, with its volume and port. */
async function late(method: string, now: JsonObject, args: (volume: string, port: string) => JsonObject) {
  const one = createFlowScene({ devices: [], instance: { vm_state: 'active', task_state: null, launched_at: 'then' } });
  scene = one;
  const { id: volume } = one.cloud.addVolume({ status: 'in-use' });
  const attachment = one.cloud.addAttachment(volume, server);
  const connection = { driver_volume_type: 'iscsi', data: { for_host: 'other' } };
  one.cloud.attachments.set(attachment.id, { ...attachment, status: 'attached', connectionInfo: connection });
  const device = { ...imageDevice, source_type: 'volume', destination_type: 'volume', device_name: '/dev/vda' };
  one.nova.devices.set(1, { ...device, volume_id: volume, attachment_id: attachment.id });
  const port = one.cloud.addPort({ deviceId: server, bindingHost: 'other', vifType: 'ovs', status: 'ACTIVE' });
  one.nova.networkInfo = JSON.stringify([{ id: port.id, preserve_on_delete: false }]);
  one.cloud.allocations.add(server);
  const sent = nova('Instance', { ...one.nova.instance, host, node: host }) as Json;
  Object.assign(one.nova.instance ?? {}, { host: 'other', node: 'other', ...now });
  const before = state(one);
  await one.cast(method, { instance: sent, ...args(volume, port.id) });
  await one.quiet();
  return { one, before, after: state(one) };
}

/** All that the other host's server lives by. */
const state = ({ nova: records, cloud }: FlowScene): unknown => {
  const { instance, devices, networkInfo, saves, faults } = records;
  const { attachments, volumes, ports, allocations } = cloud;
  return JSON.parse(
    JSON.stringify([
      instance,
      [...devices],
      networkInfo,
      saves,
      faults,
      ...[attachments, volumes, ports, allocations].map((each) => [...each]),
    ]),
  );
};

describe('a request for a server that was evacuated since', () => {
  const none = (): JsonObject => ({});
  it.each<[string, JsonObject, (volume: string, port: string) => JsonObject]>([
    ['start_instance', { task_state: 'rebuilding' }, none],
    ['stop_instance', { task_state: null }, none],
    ['pause_instance', { task_state: 'rebuilding' }, none],
    ['shelve_offload_instance', { task_state: null }, none],
    ['rescue_instance', { task_state: null }, () => ({ rescue_image_ref: 'image-1' })],
    ['unrescue_instance', { task_state: null }, none],
    ['attach_volume', {}, (volume) => ({ bdm: nova('BlockDeviceMapping', { id: 1, volume_id: volume }) })],
    ['detach_volume', {}, (volume) => ({ volume_id: volume })],
    ['attach_interface', {}, () => ({ network_id: 'n' })],
    ['detach_interface', {}, (_volume, port) => ({ port_id: port })],
    ['terminate_instance', { task_state: null }, none],
    ['terminate_instance', { task_state: 'rebuilding' }, none],
  ])('leaves it alone: %s, %o', async (method, now, args) => {
    const { one, before, after } = await late(method, now, args);
    expect(after).toEqual(before);
    expect(one.compute.submitted).toEqual([]);
    const event = `compute_${method}`;
    expect(one.nova.events).toEqual([`start ${event}`, `finish ${event}: Instance ${server} could not be found.`]);
  });

  it('deletes it where its user wants that still', async () => {
    const { one } = await late('terminate_instance', { task_state: 'deleting' }, none);
    expect(one.nova.instance).toBeNull();
    expect([...one.cloud.attachments, ...one.cloud.ports]).toEqual([]);
  });
});
