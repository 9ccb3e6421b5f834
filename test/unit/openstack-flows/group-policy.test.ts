import { RemoteError } from 'oslo-messaging';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  nova,
  server,
} from '../../support/openstack/flow-scene.ts';

let scene: FlowScene | undefined;
const ended: boolean[] = [];

afterEach(async () => {
  ended.length = 0;
  await scene?.close();
});

type Group = NonNullable<FlowScene['nova']['group']>;
const spec = nova('RequestSpec', { scheduler_hints: { group: ['g'] } });
const anti: Group = { policy: 'anti-affinity', members: [server, 'a', 'b'] };
const affine: Group = { policy: 'affinity', members: [server, 'a'] };

/** A build of a server of a group, with the other servers of each host. */
async function build(group: Group | null, others: Readonly<Record<string, readonly string[]>>, more: JsonObject = {}) {
  const one = createFlowScene({
    settings: { nodeType: 'VM' },
    devices: [],
    buildEnded: (succeeded) => ended.push(succeeded),
  });
  scene = one;
  one.nova.group = group;
  for (const [name, uuids] of Object.entries(others)) one.nova.others.set(name, uuids);
  const filter_properties = { retry: { num_attempts: 1, hosts: [] } };
  await one.cast('build_and_run_instance', buildArguments(one, { filter_properties, request_spec: spec, ...more }));
  await one.quiet();
  return one;
}

describe('a server of a group', () => {
  it.each<[string, Group | null, Readonly<Record<string, readonly string[]>>]>([
    ['no other is here', anti, { [host]: ['z'] }],
    ['more may be on one host', { ...anti, rules: { max_server_per_host: '2' } }, { [host]: ['a'] }],
    ['others are here with it', affine, { [host]: ['a'] }],
    ['it is the first', affine, {}],
    ['nobody is kept to the policy', { ...anti, policy: 'soft-anti-affinity' }, { [host]: ['a'] }],
    ['the group is gone', null, { [host]: ['a'] }],
  ])('is built where %s', async (_why, group, others) => {
    const { nova: records } = await build(group, others);
    expect(records.instance).toMatchObject({ vm_state: 'active', host });
  });

  it.each<[string, Group, Readonly<Record<string, readonly string[]>>, string]>([
    ['another is here', anti, { [host]: ['a'] }, 'Anti-affinity'],
    [
      'as many are here as may be',
      { ...anti, rules: { max_server_per_host: '2' } },
      { [host]: ['a', 'b'] },
      'Anti-affinity',
    ],
    ['others are elsewhere', affine, { other: ['a'] }, 'Affinity'],
  ])('goes to the next host where %s, and no build has failed here', async (_why, group, others, policy) => {
    const { nova: records, compute } = await build(group, others);
    expect(records.instance).toMatchObject({ vm_state: 'building', task_state: 'scheduling', host: null });
    const [cast] = records.casts;
    expect(cast?.method).toBe('build_instances');
    const said = `${policy} instance group policy was violated`;
    expect(cast?.args).toMatchObject({ filter_properties: { retry: { exc: [said] } } });
    expect(compute.submitted).toEqual([]);
    expect(ended).toEqual([]);
  });

  it('is found by what the scheduler was told, too', async () => {
    const hints = { scheduler_hints: { group: 'g' }, retry: { hosts: [] } };
    const { nova: records } = await build(anti, { [host]: ['a'] }, { request_spec: null, filter_properties: hints });
    expect(records.instance).toMatchObject({ task_state: 'scheduling', host: null });
  });

  it('is built where its cell can’t ask for groups', async () => {
    const one = createFlowScene({ settings: { nodeType: 'VM' }, devices: [] });
    scene = one;
    one.nova.onCall = (name) => {
      if (name.startsWith('InstanceGroup.'))
        throw new RemoteError('CantStartEngineError', 'oslo_db.exception', 'no', {});
    };
    await one.cast('build_and_run_instance', buildArguments(one, { request_spec: spec }));
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ vm_state: 'active' });
  });

  it('is not moved to a host that another comes to', async () => {
    const instance = { vm_state: 'active', task_state: 'resize_prep', host: 'other' };
    const one = createFlowScene({ settings: { nodeType: 'VM' }, devices: [], instance });
    scene = one;
    const own = { id: 7, uuid: 'm', status: 'pre-migrating', source_compute: 'other', instance_uuid: server };
    one.nova.migrations.set(7, own);
    one.nova.migrations.set(8, { id: 8, instance_uuid: 'a', status: 'migrating' });
    one.nova.group = anti;
    const flavor = one.nova.instance?.flavor ?? null;
    await one.cast('prep_resize', { migration: nova('Migration', own), flavor, request_spec: spec });
    await one.quiet();
    expect(one.nova.casts).toEqual([]);
    expect(one.nova.instance).toMatchObject({ host: 'other', vm_state: 'active', task_state: null });
    expect(one.nova.faults).toMatchObject([{ message: 'Anti-affinity instance group policy was violated' }]);
  });

  it('is not evacuated to a host that has another', async () => {
    const instance = { vm_state: 'active', task_state: 'rebuilding', host: 'other' };
    const one = createFlowScene({ settings: { nodeType: 'VM' }, devices: [], instance });
    scene = one;
    one.nova.group = anti;
    one.nova.others.set(host, ['a']);
    await one.cast('rebuild_instance', { recreate: true, request_spec: spec });
    await one.quiet();
    expect(one.nova.instance).toMatchObject({ host: 'other', task_state: null });
    expect(one.compute.submitted).toEqual([]);
    expect(one.nova.faults).toMatchObject([{ message: 'Anti-affinity instance group policy was violated' }]);
  });
});
