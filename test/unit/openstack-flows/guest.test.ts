import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  leftovers,
  nova,
  server,
} from '../../support/openstack/flow-scene.ts';

const scenes: FlowScene[] = [];

function scene(instance: JsonObject, here: 'active' | 'stopped' | 'rescued' | null = 'active'): FlowScene {
  const made = createFlowScene({ ...(here === null ? {} : { devices: [] }), instance });
  if (here !== null) made.compute.instances.set(server, here);
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

const rescuing = { vm_state: 'active', task_state: 'rescuing', power_state: 1, image_ref: 'own-image' };
const asked = { rescue_password: 'rescue-secret', rescue_image_ref: 'rescue-image', clean_shutdown: true };

async function rescued(): Promise<FlowScene> {
  const one = scene(rescuing);
  await one.cast('rescue_instance', asked);
  await one.quiet();
  return one;
}

async function unrescue(one: FlowScene): Promise<void> {
  if (one.nova.instance) one.nova.instance.task_state = 'unrescuing';
  await one.cast('unrescue_instance', {}, 'unrescue');
  await one.quiet();
}

describe('rescue_instance', () => {
  it('makes a volume of the image, starts the instance from it with the password, and says so', async () => {
    const one = await rescued();
    const [volume] = [...one.cloud.volumes.values()];
    expect(volume).toMatchObject({ sizeGib: 3, status: 'in-use' });
    expect(one.compute.submitted).toMatchObject([
      {
        method: 'rescue_instance',
        args: {
          volume: { volume_id: volume?.id, connection_info: { driver_volume_type: 'iscsi' } },
          admin_pass: 'rescue-secret',
        },
      },
    ]);
    expect(one.nova.saves).toMatchObject([{ vm_state: 'rescued', power_state: 1, task_state: null }]);
    expect(one.nova.saves[0]).toHaveProperty('launched_at');
    expect(one.nova.events).toEqual(['start compute_rescue_instance', 'finish compute_rescue_instance']);
    await unrescue(one);
    expect(one.nova.saves.at(-1)).toEqual({ vm_state: 'active', power_state: 1, task_state: null });
    expect(one.compute.instances.get(server)).toBe('active');
    expect([...one.cloud.volumes.keys(), ...one.cloud.attachments.keys()]).toEqual([]);
    expect(one.nova.events.at(-1)).toBe('finish compute_unrescue_instance');
  });

  it('starts from the base of the server’s image, and from its own where it has none', async () => {
    const images: unknown[] = [];
    for (const metadata of [{ image_base_image_ref: 'base' }, {}]) {
      const one = scene({ ...rescuing, system_metadata: metadata });
      const { createVolume } = one.cloud.services.cinder;
      one.cloud.services.cinder.createVolume = async (volume, options) => {
        images.push(volume.imageId);
        return await createVolume(volume, options);
      };
      await one.cast('rescue_instance', { ...asked, rescue_image_ref: null });
      await one.quiet();
    }
    expect(images).toEqual(['base', 'own-image']);
  });

  it('leaves a server that can’t be rescued as it was, with nova’s fault and no volume', async () => {
    for (const call of ['glance.showImage', 'cinder.createVolume', 'cinder.updateAttachment', 'rescue']) {
      const one = scene(rescuing);
      one.cloud.onCall = (name) => {
        if (name === call) throw new DpuError('exhausted', 'quota exceeded');
      };
      if (call === 'rescue')
        one.compute.failNext.set('rescue_instance', { code: 'unsupported', message: 'no such BMC', retry: 'never' });
      await one.cast('rescue_instance', asked);
      await one.quiet();
      expect(one.nova.instance, call).toMatchObject({ vm_state: 'active', task_state: null });
      expect(one.nova.faults, call).toMatchObject([{ code: 400 }]);
      expect(String(one.nova.faults[0]?.message), call).toContain(
        `Instance ${server} cannot be rescued: Driver Error: `,
      );
      expect([...one.cloud.volumes.keys(), ...one.cloud.attachments.keys()], call).toEqual([]);
    }
  });

  it('leaves nothing of a rescued server that is deleted', async () => {
    const one = await rescued();
    if (one.nova.instance) one.nova.instance.task_state = 'deleting';
    await one.cast('terminate_instance');
    await one.quiet();
    expect(leftovers(one)).toEqual([]);
    expect(one.nova.instance).toBeNull();
  });

  it('leaves nothing where a delete overtakes it', async () => {
    const one = scene(rescuing);
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    one.compute.onSubmit = (method) => {
      if (method !== 'rescue_instance') return;
      begun.resolve();
      return held.promise;
    };
    await one.cast('rescue_instance', asked);
    await begun.promise;
    if (one.nova.instance) one.nova.instance.task_state = 'deleting';
    await one.cast('terminate_instance');
    held.resolve();
    await one.quiet();
    expect(leftovers(one)).toEqual([]);
    expect(one.nova.instance).toBeNull();
  });

  it('puts a server into error that can’t be itself again, and keeps what it starts from', async () => {
    const one = await rescued();
    one.compute.failNext.set('unrescue_instance', { code: 'hardware', message: 'the BMC is dead', retry: 'operator' });
    await unrescue(one);
    expect(one.nova.instance).toMatchObject({ vm_state: 'error', task_state: null });
    expect(one.cloud.volumes.size).toBe(1);
    if (one.nova.instance) one.nova.instance.task_state = 'deleting';
    await one.cast('terminate_instance');
    await one.quiet();
    expect(leftovers(one)).toEqual([]);
  });

  it.each(['rescue_instance', 'unrescue_instance'])(
    'ends as if nothing had been when it is killed at any write: %s',
    async (method) => {
      for (let write = 0; ; write += 1) {
        for (const applied of [false, true]) {
          const one = method === 'rescue_instance' ? scene(rescuing) : await rescued();
          const before = one.writes();
          if (method !== 'rescue_instance' && one.nova.instance) one.nova.instance.task_state = 'unrescuing';
          const died = one.dieAt(before + write, applied);
          const accepted = one.cast(method, asked, 'same').catch(() => {});
          const ended = accepted.then(() => one.quiet()).then(() => 'ended' as const);
          if ((await Promise.race([died, ended])) === 'ended') return;
          await one.nextLife();
          await one.cast(method, asked, 'same');
          await one.quiet();
          const state = method === 'rescue_instance' ? 'rescued' : 'active';
          const volumes = state === 'rescued' ? 1 : 0;
          const where = `${method} ${write} ${applied}`;
          expect(one.nova.instance, where).toMatchObject({ vm_state: state, task_state: null });
          expect(one.compute.instances.get(server), where).toBe(state);
          expect([one.cloud.volumes.size, one.cloud.attachments.size], where).toEqual([volumes, volumes]);
          expect(
            one.compute.submitted.filter((each) => each.method === method),
            where,
          ).toHaveLength(1);
        }
      }
    },
  );
});

describe('set_admin_password', () => {
  const updating = { vm_state: 'active', task_state: 'updating_password', power_state: 1 };

  it('hands the password to the node, and keeps it nowhere', async () => {
    const one = scene(updating);
    one.compute.results.set('reset_instance_admin_password', { takes_effect: 'next_start', drive: true });
    const id = await one.cast('set_admin_password', { new_pass: 'new-secret' });
    await one.quiet();
    expect(one.compute.submitted).toMatchObject([
      { method: 'reset_instance_admin_password', args: { uuid: server, new_password: 'new-secret' } },
    ]);
    expect(one.nova.saves).toEqual([{ task_state: null }]);
    expect(one.store.get(id as Parameters<typeof one.store.get>[0])).toMatchObject({ state: 'succeeded', request: {} });
  });

  it('is refused where the guest would never find it', async () => {
    const one = scene(updating);
    one.compute.results.set('reset_instance_admin_password', { takes_effect: 'next_start', drive: false });
    await one.cast('set_admin_password', { new_pass: 'new-secret' });
    await one.quiet();
    expect(one.nova.faults).toMatchObject([{ message: 'Set admin password is not supported' }]);
  });

  it.each([
    ['unsupported', 'active', 'Set admin password is not supported'],
    ['hardware', 'active', `Failed to set admin password on ${server} because error setting admin password`],
    [null, 'stopped', `Failed to set admin password on ${server} because instance ${server} is not running`],
  ] as const)('fails as nova’s driver does: %s on one that is %s', async (code, here, message) => {
    const one = scene(updating, here);
    if (code !== null)
      one.compute.failNext.set('reset_instance_admin_password', { code, message: 'inner secret', retry: 'never' });
    await one.cast('set_admin_password', { new_pass: 'new-secret' });
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null });
    expect(one.nova.faults).toMatchObject([{ message }]);
  });
});

describe('what a build tells the guest', () => {
  const building = { vm_state: 'building', task_state: 'scheduling' };
  const built = async (instance: JsonObject, more: JsonObject = {}): Promise<FlowScene> => {
    const one = scene({ ...building, ...instance }, null);
    one.cloud.allocations.add(server);
    await one.cast('build_and_run_instance', buildArguments(one, more));
    await one.quiet();
    return one;
  };

  it('is the user data, unpacked, and the password beside it', async () => {
    const packed = gzipSync('#cloud-config\nhostname: x\n').toString('base64');
    const one = await built({ user_data: packed });
    const user_data = '#cloud-config\nhostname: x\n';
    expect(one.compute.submitted[0]?.args).toMatchObject({ userdata: { user_data, admin_pass: 'admin-pass-secret' } });
    const without = await built({ user_data: packed }, { admin_password: null });
    expect(without.compute.submitted[0]?.args).toMatchObject({ userdata: user_data });
  });

  it('is a config drive where the user or the image wants one, and else as the node is configured', async () => {
    const drives: unknown[] = [];
    for (const instance of [
      { config_drive: 'True' },
      { config_drive: '', system_metadata: { image_img_config_drive: 'mandatory' } },
      { config_drive: '' },
    ]) {
      const { compute, nova: records } = await built(instance);
      drives.push([compute.submitted[0]?.args.config_drive, records.instance?.config_drive]);
    }
    // users are told of it in each case
    expect(drives).toEqual([
      [true, 'True'],
      [true, 'True'],
      [undefined, ''],
    ]);
  });

  it.each([
    ['bytes that are no text', { user_data: Buffer.from([0xff, 0xfe, 1]).toString('base64') }, {}, 'must be text'],
    ['a broken gzip', { user_data: Buffer.from([0x1f, 0x8b, 1]).toString('base64') }, {}, 'no good gzip'],
    ['a bomb', { user_data: gzipSync(Buffer.alloc(1e6, 65)).toString('base64') }, {}, 'more than 65535'],
    [
      'tags of disks',
      {},
      {
        block_device_mapping: nova('BlockDeviceMappingList', { objects: [nova('BlockDeviceMapping', { tag: 'db' })] }),
      },
      'not be told of tags',
    ],
    [
      'trusted certificates',
      { trusted_certs: nova('TrustedCerts', { ids: ['cert'] }) },
      {},
      'not checked against trusted certificates',
    ],
    ['files', {}, { injected_files: [['/etc/motd', 'aGk=']] }, 'files cannot be put'],
  ] as const)(
    'is never a part of what was asked for: %s fail the build, here and elsewhere',
    async (_, instance, more, why) => {
      const retry = { filter_properties: { retry: { num_attempts: 1, hosts: [] } } };
      const one = await built(instance, { ...retry, ...(more as unknown as JsonObject) });
      expect(one.nova.instance).toMatchObject({ vm_state: 'error', task_state: null, host: null });
      expect(String(one.nova.faults[0]?.message)).toContain(why);
      expect(one.nova.casts).toEqual([]);
      expect(leftovers(one)).toEqual([]);
    },
  );
});
