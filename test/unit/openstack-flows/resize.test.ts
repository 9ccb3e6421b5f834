import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import { nova, server } from '../../support/openstack/flow-scene.ts';
import {
  createTwoHosts,
  flavors,
  type Host,
  migration,
  type TwoHosts,
  type TwoHostsOptions,
} from '../../support/openstack/two-hosts.ts';

const scenes: TwoHosts[] = [];

function scene(options?: TwoHostsOptions): TwoHosts {
  const made = createTwoHosts(options);
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

/** The state of the instance on a host; undefined where the host has none. */
function stateOn(host: Host): string | undefined {
  const state = host.compute.instances.get(server);
  return state === 'deleted' ? undefined : state;
}

/** The server is on this host and no other, with its port, its volume and its place; nothing is under way. */
function expectOn({ source, dest, nova, cloud, port, volume }: TwoHosts, host: Host, state = 'active'): void {
  for (const each of new Set([source, dest])) {
    expect(stateOn(each), each.name).toBe(each === host ? state : undefined);
    expect(each.open()).toEqual([]);
  }
  expect(nova.instance).toMatchObject({ host: host.name, node: host.name, task_state: null });
  expect(cloud.ports.get(port)).toMatchObject({ deviceId: server, bindingHost: host.name });
  expect([...cloud.attachments.values()]).toMatchObject([
    { volumeId: volume, instance: server, status: 'attached', connectionInfo: { data: { for_host: host.name } } },
  ]);
  expect(nova.devices.get(1)?.attachment_id).toBe([...cloud.attachments.keys()][0]);
  expect(cloud.volumes.get(volume)?.status).toBe('in-use');
}

const noFlavors = { old_flavor: null, new_flavor: null, system_metadata: { boot_roles: 'member' } };

describe('a resize to another host', () => {
  it('says to nova what a stock pair of hosts says, in its order', async () => {
    const one = scene();
    await one.resize();
    const states = one.nova.saves.flatMap(({ task_state }) => (task_state === undefined ? [] : [task_state]));
    expect(states).toEqual(['resize_migrating', 'resize_migrated', 'resize_finish', null]);
    expect(one.nova.migrations.get(migration.id)).toMatchObject({
      status: 'finished',
      dest_compute: 'dst',
      dest_node: 'dst',
      dest_host: '127.0.0.1',
    });
    expect(one.nova.instance).toMatchObject({
      vm_state: 'resized',
      power_state: 1,
      instance_type_id: 2,
      memory_mb: 2048,
      flavor: flavors.new,
      old_flavor: flavors.old,
      new_flavor: flavors.new,
      system_metadata: { boot_roles: 'member', old_vm_state: 'active' },
    });
    expectOn(one, one.dest);
    expect(one.cloud.allocations).toEqual(new Set([server, migration.uuid]));
    expect(one.dest.compute.submitted.map(({ method }) => method)).toEqual(['build_and_run_instance']);
    expect(one.dest.compute.submitted[0]?.args).toMatchObject({ flavor: { name: 'f2', vcpus: 2, memory_mib: 2048 } });
    expect(one.source.compute.submitted.map(({ method }) => method)).toEqual(['stop_instance', 'destroy_instance']);
    expect(one.nova.events).toEqual(
      ['prep_resize', 'resize_instance', 'finish_resize'].flatMap((each) => [
        `start compute_${each}`,
        `finish compute_${each}`,
      ]),
    );
  });

  it('passes on what the next host needs, as nova would', async () => {
    const one = scene();
    await one.resize();
    const [first, second] = one.nova.casts.filter(({ topic }) => topic === 'compute');
    expect(first).toMatchObject({
      server: 'src',
      method: 'resize_instance',
      args: { flavor: flavors.new, image: { id: 'image-1' }, clean_shutdown: true },
    });
    expect(second).toMatchObject({ server: 'dst', method: 'finish_resize', args: { disk_info: null } });
    for (const each of [first, second]) {
      expect(each?.args.migration).toMatchObject({ 'nova_object.data': { id: migration.id } });
      expect(each?.args.request_spec).toMatchObject({ 'nova_object.name': 'RequestSpec' });
      expect(each?.args.instance).toMatchObject({
        'nova_object.data': { migration_context: { 'nova_object.name': 'MigrationContext' } },
      });
    }
  });

  it('is confirmed: the source has nothing of it any more', async () => {
    const one = scene();
    await one.resize();
    await one.confirm();
    expectOn(one, one.dest);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', flavor: flavors.new, ...noFlavors });
    expect(one.nova.instance?.migration_context).toBeNull();
    expect(one.nova.migrations.get(migration.id)?.status).toBe('confirmed');
    expect(one.cloud.allocations).toEqual(new Set([server]));
    expect(one.nova.casts.at(-1)).toMatchObject({
      topic: 'scheduler',
      method: 'delete_instance_info',
      args: { host_name: 'src' },
    });
  });

  it('is confirmed without a word about the next move, which its user may have asked for by then', async () => {
    const one = scene();
    await one.resize();
    const next = { migration_context: nova('MigrationContext', { migration_id: 99 }), new_flavor: flavors.old };
    one.nova.onCall = (name) => {
      if (name === 'scheduler delete_instance_info') Object.assign(one.nova.instance ?? {}, next);
    };
    await one.confirm();
    expect(one.nova.instance).toMatchObject(next);
  });

  it('is reverted: the server is on its old host as it was', async () => {
    const one = scene();
    const [before] = one.cloud.attachments.keys();
    await one.resize();
    const [there] = one.cloud.attachments.keys();
    await one.revert();
    expectOn(one, one.source);
    // Cinder's attachment of a host is never another's
    expect(new Set([before, there, ...one.cloud.attachments.keys()]).size).toBe(3);
    expect(one.nova.instance).toMatchObject({
      vm_state: 'active',
      power_state: 1,
      instance_type_id: 1,
      memory_mb: 1024,
      flavor: flavors.old,
      ...noFlavors,
    });
    expect(one.nova.migrations.get(migration.id)?.status).toBe('reverted');
    expect(one.cloud.allocations).toEqual(new Set([server]));
    expect(one.source.compute.submitted.at(-1)?.args).toMatchObject({ flavor: { name: 'f1', memory_mib: 1024 } });
  });

  it('keeps a server off that was off, here and back again', async () => {
    const one = scene({ vmState: 'stopped' });
    await one.resize();
    expect(one.nova.instance).toMatchObject({ vm_state: 'resized', power_state: 4 });
    expectOn(one, one.dest, 'stopped');
    await one.revert();
    expect(one.nova.instance).toMatchObject({ vm_state: 'stopped', power_state: 4 });
    expectOn(one, one.source, 'stopped');
    await one.resize();
    await one.confirm();
    expect(one.nova.instance?.vm_state).toBe('stopped');
    expectOn(one, one.dest, 'stopped');
  });
});

describe('a cold migration', () => {
  it('keeps the flavor', async () => {
    const one = scene({ resized: false, destType: 'BM' });
    await one.resize();
    expect(one.nova.instance).toMatchObject({ vm_state: 'resized', flavor: flavors.old, old_flavor: flavors.old });
    await one.confirm();
    expectOn(one, one.dest);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', flavor: flavors.old, ...noFlavors });
  });

  it('to the host where the server is, is none', async () => {
    const one = scene({ resized: false, sameHost: true });
    await one.resize();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null, host: 'src' });
    expect(one.nova.faults).toMatchObject([{ message: expect.stringContaining('Unable to migrate instance') }]);
    expect(one.nova.migrations.get(migration.id)?.status).toBe('error');
    expect(stateOn(one.source)).toBe('active');
  });
});

describe('a resize on the same host', () => {
  it('is confirmed without touching the instance', async () => {
    const one = scene({ sameHost: true });
    await one.resize();
    expectOn(one, one.source);
    const before = one.source.compute.submitted.length;
    await one.confirm();
    expect(one.source.compute.submitted).toHaveLength(before);
    expectOn(one, one.source);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', flavor: flavors.new, ...noFlavors });
    expect(one.cloud.allocations).toEqual(new Set([server]));
  });

  it('is reverted', async () => {
    const one = scene({ sameHost: true });
    await one.resize();
    await one.revert();
    expectOn(one, one.source);
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', flavor: flavors.old, ...noFlavors });
  });
});

describe('a destination that cannot take the server', () => {
  const taken = '99999999-0000-4000-8000-000000000009';

  it('leaves it as it was, with a fault and its place', async () => {
    const one = scene({ destType: 'BM', vmState: 'stopped' });
    one.dest.compute.instances.set(taken, 'active');
    await one.resize();
    expectAtHome(one, 'stopped');
    expect(one.nova.faults).toMatchObject([{ host: 'dst' }]);
    expect(one.nova.casts.filter(({ topic }) => topic !== 'scheduler')).toEqual([]);
  });

  it('has the conductor try the next host, where the scheduler said that it may', async () => {
    const one = scene({ destType: 'BM' });
    one.dest.compute.instances.set(taken, 'active');
    await one.resize({ filter_properties: { retry: { num_attempts: 1, hosts: [] }, limits: {} }, host_list: ['next'] });
    expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: 'resize_prep', host: 'src' });
    expect(one.nova.casts).toMatchObject([
      {
        topic: 'conductor',
        method: 'migrate_server',
        args: {
          live: false,
          rebuild: false,
          flavor: flavors.new,
          host_list: ['next'],
          scheduler_hint: { filter_properties: { retry: { num_attempts: 1, exc: [expect.any(String)] }, limits: {} } },
        },
      },
    ]);
    expect(one.cloud.allocations).toEqual(new Set([server]));
  });
});

/** The server is where it was, as it was, and nothing is left of the try. */
function expectAtHome(one: TwoHosts, state = 'active'): void {
  const { nova, source, dest, cloud } = one;
  expect(nova.instance).toMatchObject({ vm_state: state, task_state: null, host: 'src', flavor: flavors.old });
  expect(nova.migrations.get(migration.id)?.status).toBe('error');
  expect(cloud.allocations).toEqual(new Set([server]));
  expect(stateOn(source)).toBe(state);
  expect(stateOn(dest)).toBeUndefined();
}

describe('a source that cannot let the server go', () => {
  it.each([
    ['its volumes cannot be kept', 'cinder.createAttachment'],
    ['nova does not take the new host', 'Instance.save resize_migrated'],
  ])('makes it again where %s', async (_, where) => {
    const one = scene();
    let failed = false;
    const fail = (name: string): void => {
      if (failed || name !== where.split(' ')[0]) return;
      if (where.endsWith('resize_migrated') && one.nova.migrations.get(migration.id)?.status !== 'post-migrating')
        return;
      failed = true;
      throw new DpuError('denied', 'no');
    };
    one.cloud.onCall = fail;
    one.nova.onCall = fail;
    await one.resize();
    expect(failed).toBe(true);
    expectAtHome(one);
    expectOn(one, one.source);
    expect(one.nova.faults).toMatchObject([{ host: 'src' }]);
    expect(one.nova.events.at(-1)).toMatch(/^finish compute_resize_instance: /);
  });

  it('says so where the node does not let go of it: an operator has to look', async () => {
    const one = scene();
    one.source.compute.failNext.set('destroy_instance', { code: 'hardware', message: 'stuck', retry: 'operator' });
    await one.resize();
    expect(one.nova.instance).toMatchObject({ task_state: null, host: 'src', vm_state: 'active' });
    expect(one.nova.faults).toMatchObject([{ message: 'stuck' }]);
    expect(stateOn(one.source)).toBe('active');
  });

  it('leaves a server alone that is being deleted', async () => {
    const one = scene();
    one.nova.onCall = (name) => {
      if (name === 'Migration.save' && one.nova.migrations.get(migration.id)?.status === 'migrating')
        Object.assign(one.nova.instance ?? {}, { task_state: 'deleting' });
    };
    await one.resize();
    expect(one.nova.faults).toEqual([]);
    expect(one.nova.instance?.task_state).toBe('deleting');
    expect(stateOn(one.source)).toBeUndefined();
    expect(one.cloud.allocations).toEqual(new Set([server]));
  });
});

describe('a destination that cannot make the instance', () => {
  it('has the server in error with its old flavor, its volume kept, and the place on the source free', async () => {
    const one = scene();
    one.dest.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'no', retry: 'operator' });
    await one.resize();
    expect(one.nova.instance).toMatchObject({ vm_state: 'error', task_state: null, host: 'dst', flavor: flavors.old });
    expect(one.nova.migrations.get(migration.id)?.status).toBe('error');
    expect(one.nova.faults).toMatchObject([{ message: 'no', host: 'dst' }]);
    expect(one.cloud.allocations).toEqual(new Set([server]));
    expect(stateOn(one.dest)).toBeUndefined();
    expect([...one.cloud.attachments.values()]).toMatchObject([{ volumeId: one.volume, status: 'reserved' }]);

    // an operator says that it is active, and has it moved again
    Object.assign(one.nova.instance ?? {}, { vm_state: 'active' });
    await one.resize();
    expect(one.nova.instance?.vm_state).toBe('resized');
    expectOn(one, one.dest);
  });

  it('frees both places of a server that was deleted meanwhile', async () => {
    const one = scene();
    one.nova.onCall = (name) => {
      if (name === 'compute finish_resize') one.nova.instance = null;
    };
    await one.resize();
    expect(one.cloud.allocations).not.toContain(migration.uuid);
    expect(stateOn(one.dest)).toBeUndefined();
    expect(stateOn(one.source)).toBeUndefined();
  });
});

describe('a revert that the source cannot finish', () => {
  it('has the server in error there, its place too', async () => {
    const one = scene();
    await one.resize();
    one.source.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'no', retry: 'operator' });
    await one.revert();
    expect(one.nova.instance).toMatchObject({
      vm_state: 'error',
      task_state: null,
      host: 'src',
      flavor: flavors.old,
      ...noFlavors,
    });
    expect(one.nova.migrations.get(migration.id)?.status).toBe('error');
    expect(one.cloud.allocations).toEqual(new Set([server]));
    expect(stateOn(one.source)).toBeUndefined();
    expect(stateOn(one.dest)).toBeUndefined();
  });
});

describe('what comes twice', () => {
  it('is done once', async () => {
    const one = scene();
    await one.resize();
    const before = [one.source, one.dest].map(({ compute }) => compute.submitted.length);
    const saves = one.nova.saves.length;
    for (const method of ['resize_instance', 'finish_resize'] as const) {
      await one.cast(method === 'resize_instance' ? one.source : one.dest, method, { flavor: flavors.new });
      await one.idle();
    }
    expect([one.source, one.dest].map(({ compute }) => compute.submitted.length)).toEqual(before);
    expect(one.nova.saves).toHaveLength(saves);
    await one.confirm();
    const record = { ...one.nova.instance };
    await one.confirm();
    expect(one.nova.instance).toEqual(record);
  });
});

describe('live_migration', () => {
  it('is refused, and the server has its place again', async () => {
    const one = scene();
    one.nova.migrations.set(migration.id, { ...migration, status: 'accepted', instance_uuid: server });
    one.cloud.allocations.add(migration.uuid);
    Object.assign(one.nova.instance ?? {}, { task_state: 'migrating' });
    await one.cast(one.source, 'live_migration', { dest: 'dst' });
    await one.idle();
    expectAtHome(one);
    expect(one.nova.faults).toMatchObject([{ message: expect.stringContaining('Migration pre-check error') }]);
  });
});
