import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import { systemClock } from '../../../kit/clock.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  imageDevice,
  leftovers,
  nova,
  type SceneOptions,
  server,
} from '../../support/openstack/flow-scene.ts';

const scenes: FlowScene[] = [];

function scene(options?: SceneOptions): FlowScene {
  const made = createFlowScene(options);
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

async function build(
  on: FlowScene,
  ...more: Parameters<typeof buildArguments> extends [unknown, ...infer Rest] ? Rest : never
) {
  on.cloud.allocations.add(server);
  const id = await on.cast('build_and_run_instance', buildArguments(on, ...more));
  await on.quiet();
  return id;
}

describe('build_and_run_instance', () => {
  it('saves the states of nova in their order, each from the one before', async () => {
    const one = scene();
    await build(one);
    expect(one.nova.saves.map(({ vm_state, task_state }) => [vm_state, task_state])).toEqual([
      ['building', null],
      [undefined, 'networking'],
      ['building', 'block_device_mapping'],
      ['building', 'spawning'],
      ['active', null],
    ]);
    expect(one.nova.saves[1]).toMatchObject({
      host,
      node: host,
      launched_on: host,
      system_metadata: { boot_roles: '' },
    });
    expect(one.nova.saves.at(-1)).toMatchObject({ power_state: 1, task_state: null });
    expect(one.nova.events).toEqual([
      'start compute__do_build_and_run_instance',
      'finish compute__do_build_and_run_instance',
    ]);
    expect(one.nova.casts.map(({ topic, method }) => `${topic} ${method}`)).toEqual(['scheduler update_instance_info']);
  });

  it('makes volumes of the sizes that nova means, and gives each disk a name of its own', async () => {
    const blank = { ...imageDevice, source_type: 'blank', image_id: null, boot_index: -1 };
    const devices = [
      { ...blank, id: 1, uuid: 'e', volume_size: 3, device_name: '/dev/vdb' },
      { ...blank, id: 2, uuid: 's', volume_size: 512, guest_format: 'swap' }, // MiB, where all else is GiB
      { ...imageDevice, id: 3 },
    ];
    const one = scene({ devices });
    await build(one);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active' });
    const made = [1, 2, 3].map((id) => one.nova.devices.get(id));
    expect(made).toMatchObject([
      { device_name: '/dev/vdb', volume_size: 3 },
      { device_name: '/dev/vdc', volume_size: 1 },
      { device_name: '/dev/vda', volume_size: 2 },
    ]);
  });

  it('is aborted by a volume that other servers may have at the same time', async () => {
    const one = scene({ devices: [] });
    const { id } = one.cloud.addVolume({ multiattach: true, status: 'reserved' });
    const attachment = one.cloud.addAttachment(id, server).id;
    one.nova.devices.set(1, {
      ...imageDevice,
      id: 1,
      source_type: 'volume',
      destination_type: 'volume',
      delete_on_termination: false,
      image_id: null,
      volume_id: id,
      attachment_id: attachment,
    });
    await build(one);
    expect(one.nova.instance).toMatchObject({ vm_state: 'error', host: null });
    expect(String(one.nova.faults[0]?.message)).toContain("has 'multiattach' set, which is not supported");
    expect([...one.cloud.volumes.keys()]).toEqual([id]);
    expect(one.cloud.attachments.size).toBe(0);
  });

  it('makes a volume from the image, and says so in the mapping', async () => {
    const one = scene();
    await build(one);
    const [volume] = [...one.cloud.volumes.values()];
    const [attachment] = [...one.cloud.attachments.values()];
    expect(volume).toMatchObject({ sizeGib: 2, status: 'in-use' });
    expect(one.nova.devices.get(1)).toMatchObject({
      source_type: 'image',
      destination_type: 'volume',
      volume_id: volume?.id,
      attachment_id: attachment?.id,
      delete_on_termination: true,
      device_name: '/dev/vda',
    });
    expect(one.compute.submitted).toHaveLength(1);
    const [port] = [...one.cloud.ports.values()];
    expect(one.compute.submitted[0]?.args).toMatchObject({
      uuid: server,
      name: 'life',
      flavor: { name: 'f', vcpus: 1, memory_mib: 1024 },
      networks: [{ port_id: port?.id, mac: port?.macAddress }],
      volumes: [{ volume_id: volume?.id, bootable: true, connection_info: { driver_volume_type: 'iscsi' } }],
      metadata: { tier: 'gold' },
      ssh_keys: ['ssh-ed25519 AAAA user'],
    });
    expect(JSON.parse(one.nova.networkInfo)).toMatchObject([{ id: port?.id, preserve_on_delete: false }]);
    expect(one.nova.virtualInterfaces.has(port?.id ?? '')).toBe(true);
  });

  it('asks for the addresses and security groups that are wanted, and refuses a group that is not there', async () => {
    const one = scene();
    const requested = (address: string) =>
      nova('NetworkRequestList', {
        objects: [nova('NetworkRequest', { network_id: 'n', port_id: null, address })],
      });
    await build(one, { requested_networks: requested('10.0.0.77'), security_groups: ['web'] });
    expect([...one.cloud.ports.values()]).toMatchObject([
      { networkId: 'n', securityGroups: ['group-1'], fixedIps: [{ ipAddress: '10.0.0.77' }] },
    ]);

    const other = scene();
    await build(other, { requested_networks: requested('10.0.0.78'), security_groups: ['nobody'] });
    expect(other.nova.instance?.vm_state).toBe('error');
    expect(leftovers(other)).toEqual([]);
  });

  it('makes no port for none, and one on the only network for no request', async () => {
    const none = scene();
    const list = nova('NetworkRequestList', { objects: [nova('NetworkRequest', { network_id: 'none' })] });
    await build(none, { requested_networks: list });
    expect(none.nova.instance?.vm_state).toBe('active');
    expect(none.cloud.ports.size).toBe(0);

    const auto = scene();
    await build(auto, { requested_networks: null });
    expect(auto.cloud.ports.size).toBe(1);
  });

  it('keeps nothing of what nova said in clear, and nothing at all once it is done', async () => {
    const one = scene();
    const id = await build(one);
    const bytes = ['', '-wal'].map((suffix) => readFileSync(`${one.file}${suffix}`).toString('latin1')).join('');
    for (const secret of ['admin-pass-secret', 'user-token-secret', 'chap-secret', 'cloud-config']) {
      expect(bytes, secret).not.toContain(secret);
    }
    const record = one.store.get(id as Parameters<typeof one.store.get>[0]);
    expect(record).toMatchObject({ state: 'succeeded', request: {}, input: null });
    expect(record?.steps.every(({ output }) => output === null)).toBe(true);
  });

  it('is in error with its fault where the ports or volumes fail, on no host and holding nothing', async () => {
    for (const call of ['neutron.createPort', 'cinder.createVolume', 'cinder.updateAttachment']) {
      const one = scene();
      one.cloud.onCall = (name) => {
        if (name === call) throw new DpuError('exhausted', 'quota exceeded');
      };
      await build(one, { filter_properties: { retry: { num_attempts: 1, hosts: [] } } });
      expect(one.nova.instance, call).toMatchObject({ vm_state: 'error', task_state: null, host: null, node: null });
      expect(one.nova.faults, call).toMatchObject([{ code: 500, host }]);
      expect(String(one.nova.faults[0]?.message), call).toContain('quota exceeded');
      expect(one.nova.events.at(-1), call).toContain('finish compute__do_build_and_run_instance: ');
      expect(one.nova.casts, call).toEqual([]);
      expect(leftovers(one), call).toEqual([]);
      expect(one.nova.devices.get(1), call).toMatchObject({ destination_type: 'local', volume_id: null });
    }
  });

  it('goes back to the conductor where the node fails to make it, and only where that is to try again', async () => {
    const error = { code: 'hardware', message: 'the host does not start', retry: 'operator' } as const;
    const again = scene();
    again.compute.failNext.set('build_and_run_instance', error);
    await build(again, { filter_properties: { retry: { num_attempts: 1, hosts: [] } }, host_list: ['next'] });
    expect(again.nova.instance).toMatchObject({ vm_state: 'building', task_state: 'scheduling', host: null });
    expect(again.nova.casts).toMatchObject([
      {
        topic: 'conductor',
        method: 'build_instances',
        args: {
          host_lists: [['next']],
          filter_properties: { retry: { num_attempts: 1, exc_reason: 'the host does not start' } },
          admin_password: 'admin-pass-secret',
        },
      },
    ]);
    expect(leftovers(again)).toEqual([]);

    const last = scene();
    last.compute.failNext.set('build_and_run_instance', error);
    await build(last);
    expect(last.nova.instance).toMatchObject({ vm_state: 'error', host: null });
    expect(last.nova.faults).toMatchObject([{ message: 'the host does not start' }]);
    expect(leftovers(last)).toEqual([]);
  });

  it('does not take the server from the next host after a restart', async () => {
    const one = scene();
    one.cloud.allocations.add(server);
    one.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'dead', retry: 'operator' });
    const died = Promise.withResolvers<void>();
    let handed = false;
    const { onCall } = one.nova;
    one.nova.onCall = (name) => {
      if (name !== 'conductor build_instances' || handed) return onCall(name);
      handed = true;
      Object.assign(one.nova.instance ?? {}, { host: 'next', node: 'next', task_state: 'networking' });
      one.cloud.allocations.add(server);
      void one.dieAt(one.writes(), false).then(died.resolve);
    };
    const more = { filter_properties: { retry: { num_attempts: 1, hosts: [] } }, host_list: ['next'] };
    await one.cast('build_and_run_instance', buildArguments(one, more));
    await died.promise;
    await one.nextLife();
    await one.quiet();
    expect(one.store.unended()).toEqual([]);
    expect(one.nova.instance).toMatchObject({ host: 'next', task_state: 'networking' });
    expect(one.nova.casts).toHaveLength(1);
    expect([...one.cloud.allocations]).toEqual([server]);
  });

  it('leaves a server alone that somebody else has by now', async () => {
    const one = scene({ instance: { task_state: 'deleting' } });
    await build(one);
    expect(one.nova.saves).toEqual([]);
    expect(one.nova.faults).toEqual([]);
    expect(one.cloud.ports.size).toBe(0);
  });

  it('does a cast that comes twice once', async () => {
    const one = scene();
    const args = buildArguments(one);
    const ids = await Promise.all([
      one.cast('build_and_run_instance', args, 'same'),
      one.cast('build_and_run_instance', args, 'same'),
    ]);
    await one.quiet();
    ids.push(await one.cast('build_and_run_instance', args, 'same'));
    expect(new Set(ids).size).toBe(1);
    expect(one.compute.submitted).toHaveLength(1);
  });

  it('leaves nothing that a service was still making when a delete came', async () => {
    for (const call of ['neutron.createPort', 'cinder.createVolume', 'cinder.updateAttachment']) {
      const one = scene();
      const asked = Promise.withResolvers<void>();
      const made = Promise.withResolvers<void>();
      one.cloud.onCall = async (name) => {
        // an undo that does not wait finds what comes of it here
        if (name === 'cinder.waitForVolume' && one.cloud.making !== null) {
          made.resolve();
          await systemClock.sleep(1);
        }
        if (name !== call) return;
        one.cloud.making = made.promise;
        asked.resolve();
      };
      one.cloud.allocations.add(server);
      await one.cast('build_and_run_instance', buildArguments(one));
      await asked.promise;
      if (one.nova.instance) one.nova.instance.task_state = 'deleting';
      await one.cast('terminate_instance');
      const quiet = one.quiet();
      await Promise.race([quiet, systemClock.sleep(100)]);
      made.resolve();
      await quiet;
      expect(one.nova.instance, call).toBeNull();
      expect(leftovers(one), call).toEqual([]);
    }
  });

  it('waits while Neutron, Cinder or the conductor are away', async () => {
    const one = scene();
    const trouble = new Map([
      ['neutron.createPort', 1],
      ['cinder.createVolume', 1],
      ['Instance.save', 1],
    ]);
    const stumble = (name: string): void => {
      const left = trouble.get(name) ?? 0;
      trouble.set(name, left - 1);
      if (left > 0) throw new DpuError('unavailable', `${name} is away`);
    };
    one.cloud.onCall = stumble;
    one.nova.onCall = stumble;
    await build(one);
    expect(one.nova.instance?.vm_state).toBe('active');
    expect(one.cloud.volumes.size).toBe(1);
    expect(one.cloud.ports.size).toBe(1);
  });

  it('fails where a port is not plugged in time', async () => {
    const one = scene({ settings: { vifPluggingTimeoutMs: 50 }, devices: [imageDevice] });
    one.cloud.plugged = false;
    await build(one);
    expect(one.nova.instance?.vm_state).toBe('error');
    expect(leftovers(one)).toEqual([]);
  });
});
