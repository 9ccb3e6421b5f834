import { describe, expect, it } from 'vitest';
import { customName, offerOf } from '../../platform-adapter/openstack/node/offer.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Said } from '../support/nova-form.ts';
import { callName } from '../support/nova-form.ts';
import { readRecording } from '../support/nova-recording.ts';
import { registeredBefore, settings, startScene, uuid } from './openstack-node/scene.ts';

const provider = `/resource_providers/${uuid}`;
const first = () => readRecording('startup_first');
const again = () => readRecording('startup_with_server');
const server = 'bf506092-16ad-43d4-bd1b-b3393f07ee01';

const calls = (said: readonly Said[], name: string) =>
  said.flatMap((each) => (each.kind === 'message' && callName(each) === name ? [each] : []));
const puts = (said: readonly Said[], path: string) =>
  said.flatMap((each) => (each.kind === 'http' && each.method === 'PUT' && each.path === path ? [each.request] : []));
const counts = (said: readonly Said[]) =>
  calls(said, 'Service.save').map(({ args }) => {
    const object = args.objinst as unknown as { 'nova_object.data': { report_count: number } };
    return object['nova_object.data'].report_count;
  });

/** A started node, its clock past the start. */
async function registered(...args: Parameters<typeof startScene>) {
  const scene = startScene(...args);
  const node = scene.start();
  await scene.clock.drive(node.serving, 60_000);
  return { ...scene, node };
}

const disabled = 'COMPUTE_STATUS_DISABLED';

/** A node with a server that nova and Placement have known before. */
async function knownNode() {
  const scene = startScene(again());
  registeredBefore(scene.nova);
  scene.nova.answer(`placement PUT ${provider}/traits`, { resource_provider_generation: 5, traits: [] });
  scene.nova.answer('placement GET /traits', { traits: [disabled] });
  const node = scene.start();
  await scene.clock.drive(node.serving, 60_000);
  return { ...scene, node };
}

describe('what a node offers', () => {
  const status = (more: Partial<NodeStatus>): NodeStatus =>
    ({
      ...startScene(first()).service.nodeStatus(),
      DPU_model: 'BlueField-3',
      total_cpu: 8,
      total_mem: 1000,
      ...more,
    }) as NodeStatus;
  const stranger = { uuid: 'x', flavor: { name: 'f', vcpus: 2, memory_mib: 100 } } as NodeStatus['instances'][number];
  const nova = { servers: new Set<string>(), disabled: false };
  const totals = (more: Partial<NodeStatus>, known = nova) =>
    Object.entries(offerOf(settings, status(more), known).inventories).map(
      ([name, { total, reserved }]) => `${name} ${reserved}/${total}`,
    );

  it('is one of its class for bare metal, and nothing that a flavor for VMs asks for', () => {
    expect(totals({ node_type: 'BM' })).toEqual(['CUSTOM_BAREMETAL_GOLD 0/1']);
  });

  it('is CPUs, memory, disk and the DPU for VMs', () => {
    expect(totals({ node_type: 'VM' })).toEqual([
      'VCPU 0/8',
      'MEMORY_MB 512/1000',
      'DISK_GB 0/600000',
      'CUSTOM_DPU 0/1',
    ]);
  });

  it('keeps CPUs and memory for the host', () => {
    const kept = { ...settings, reservedCpus: 3, reservedMemoryMb: 100 };
    const { inventories } = offerOf(kept, status({ node_type: 'VM' }), nova);
    expect(inventories).toMatchObject({ VCPU: { reserved: 3 }, MEMORY_MB: { reserved: 100 } });
  });

  it("is less what others' instances hold, and not less for nova's own", () => {
    expect(totals({ node_type: 'BM', instances: [stranger] })).toEqual(['CUSTOM_BAREMETAL_GOLD 1/1']);
    expect(totals({ node_type: 'VM', instances: [stranger] }).slice(0, 2)).toEqual(['VCPU 2/8', 'MEMORY_MB 612/1000']);
    const known = { servers: new Set(['x']), disabled: false };
    expect(totals({ node_type: 'BM', instances: [stranger] }, known)).toEqual(['CUSTOM_BAREMETAL_GOLD 0/1']);
  });

  it('is told by traits: model, type, and whether it may be scheduled to', () => {
    const traits = (more: Partial<NodeStatus>, known = nova) => offerOf(settings, status(more), known).traits;
    expect(traits({ ready: true, node_type: 'BM' })).toEqual(
      expect.arrayContaining(['COMPUTE_NODE', 'CUSTOM_DPU_BLUEFIELD_3', 'CUSTOM_DPU_NODE_BM']),
    );
    expect(traits({ ready: true })).not.toContain('COMPUTE_STATUS_DISABLED');
    expect(traits({ ready: false })).toContain('COMPUTE_STATUS_DISABLED');
    expect(traits({ ready: true }, { ...nova, disabled: true })).toContain('COMPUTE_STATUS_DISABLED');
    expect(customName('DPU', 'BlueField-3 (virtual)')).toBe('CUSTOM_DPU_BLUEFIELD_3_VIRTUAL');
  });
});

describe('a node registers', () => {
  it('again and again until a conductor answers', async () => {
    const { nova, clock, start, asked } = startScene(first());
    for (const _ of [1, 2, 3]) nova.failNext('ping', 'Away');
    const node = start();
    expect(node.trouble()).toBeNull();
    await clock.advance(100);
    expect(node.trouble()).toMatch(/^ping nova-conductor: /);
    await clock.drive(node.serving, 60_000);
    expect(node.trouble()).toBeNull();
    expect(calls(nova.said, 'ping')).toHaveLength(4);
    expect(clock.monotonicMs()).toBe(7_000);
    expect(asked).toEqual(['recover 0', 'serve']);
    await node.stop();
  });

  it('at once when the broker is there again', async () => {
    const { nova, clock, start } = startScene(first());
    for (const _ of [1, 2, 3, 4]) nova.failNext('ping', 'Away');
    const node = start();
    await clock.advance(7_100);
    expect(calls(nova.said, 'ping')).toHaveLength(4);
    node.reconnected();
    await clock.flush();
    expect(clock.monotonicMs()).toBe(7_100);
    await node.serving;
    await node.stop();
  });

  it('not beside compute services that its release does not go with', async () => {
    const { nova, clock, start, asked } = startScene(first());
    nova.answer('Service.get_minimum_version', 60);
    const node = start();
    await clock.advance(5_000);
    expect(asked).toEqual([]);
    expect(calls(nova.said, 'Service.create')).toEqual([]);
    await node.stop();
    await expect(node.serving).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('with the version of its release where the record has another', async () => {
    const recording = again();
    const old = JSON.parse(JSON.stringify(recording).replaceAll('"version":64', '"version":61')) as typeof recording;
    const scene = startScene(old);
    registeredBefore(scene.nova);
    const node = scene.start();
    await scene.clock.drive(node.serving, 60_000);
    const [save] = calls(scene.nova.said, 'Service.save');
    expect(save?.args.objinst).toMatchObject({
      'nova_object.changes': ['version'],
      'nova_object.data': { version: 64 },
    });
    await node.stop();
  });

  it('in place of a resource provider of its name that holds nothing', async () => {
    const { nova, clock, start } = startScene(first());
    const stale = { uuid: 'stale', name: 'fake1', generation: 3 };
    nova.failHttp(`placement POST /resource_providers`, 409, {});
    nova.answer('placement GET /resource_providers?name=fake1', { resource_providers: [stale] });
    nova.answer('placement GET /resource_providers/stale/allocations', {
      allocations: {},
      resource_provider_generation: 3,
    });
    nova.answer('placement DELETE /resource_providers/stale', null);
    nova.answer(`placement GET ${provider}/inventories`, { resource_provider_generation: 0, inventories: {} });
    nova.answer(`placement GET ${provider}/traits`, { resource_provider_generation: 1, traits: [] });
    const node = start();
    await clock.drive(node.serving, 500);
    expect(nova.said).toContainEqual(expect.objectContaining({ method: 'DELETE', path: '/resource_providers/stale' }));
    await node.stop();
  });
});

describe('a node reports', () => {
  it('on and on, sooner after a report that did not get through, with the count that nova has', async () => {
    const { nova, clock, node } = await registered(first());
    await clock.advance(1);
    expect(counts(nova.said)).toEqual([1]); // nova calls the host up by it
    await clock.advance(10_000);
    expect(counts(nova.said)).toEqual([1, 2]);
    for (const _ of [1, 2, 3]) nova.failNext('Service.save', 'Away');
    await clock.advance(10_000 + 1_000 + 2_000);
    expect(node.reporting()).toBe(false);
    await clock.advance(4_000);
    expect(node.reporting()).toBe(true);
    expect(counts(nova.said)).toEqual([1, 2, 3, 3, 3, 3]);
    await node.stop();
  });

  it('nothing more once its service was deleted, and makes no record again', async () => {
    const { nova, clock, node } = await registered(first());
    nova.failNext('Service.save', 'ServiceNotFound', { service_id: 10 });
    await clock.advance(5_000);
    expect(node.reporting()).toBe(false);
    const before = nova.said.length;
    await clock.advance(200_000);
    expect(nova.said.slice(before)).toEqual([]);
    await node.stop();
  });

  it('nothing once it was stopped', async () => {
    const { nova, clock, node } = await registered(first());
    await node.stop();
    const before = nova.said.length;
    await clock.advance(100_000);
    expect(nova.said).toHaveLength(before);
    expect(clock.pending).toBe(0);
  });
});

describe('resources', () => {
  it('are saved only where they changed, and read again by Placement after five minutes', async () => {
    const scene = startScene(again());
    const { nova, clock, service } = scene;
    registeredBefore(nova);
    const node = scene.start();
    await clock.drive(node.serving, 60_000);
    await clock.advance(125_000);
    const saves = () => calls(nova.said, 'ComputeNode.save').slice(1); // the first is the start's, of all
    const reads = () =>
      nova.said.filter((each) => each.kind === 'http' && each.path === `${provider}/inventories`).length;
    expect(saves()).toEqual([]);
    expect(reads()).toBe(1);
    await clock.advance(240_000);
    expect(reads()).toBe(2);
    nova.answer(`placement PUT ${provider}/inventories`, { resource_provider_generation: 3, inventories: {} });
    Object.assign(service.node, { total_cpu: 2000 });
    service.emit('node', service.node);
    await clock.flush();
    expect(saves()).toHaveLength(1);
    expect(saves()[0]?.args.objinst).toMatchObject({
      'nova_object.changes': ['vcpus'],
      'nova_object.data': { vcpus: 2000 },
    });
    expect(puts(nova.said, `${provider}/inventories`).at(-1)).toMatchObject({
      inventories: { VCPU: { total: 2000, max_unit: 2000 } },
    });
    await node.stop();
  });

  it('are told once for what changes within two seconds, and with one question', async () => {
    const scene = startScene(again());
    const { nova, clock } = scene;
    registeredBefore(nova);
    const node = scene.start();
    await clock.drive(node.serving, 60_000);
    const [lists, nodes] = ['InstanceList.get_by_host_and_node', 'ComputeNodeList.get_all_by_host'];
    const asked = (name: string): number => calls(nova.said, name).length;
    const before = {
      lists: asked(lists),
      nodes: asked(nodes),
      http: nova.said.filter((each) => each.kind === 'http').length,
    };
    node.refresh();
    await clock.advance(1500);
    node.refresh();
    node.refresh();
    await clock.advance(600);
    expect(asked(lists)).toBe(before.lists + 1);
    await clock.advance(10_000);
    expect(asked(lists)).toBe(before.lists + 1);
    expect(asked(nodes)).toBe(before.nodes);
    expect(nova.said.filter((each) => each.kind === 'http')).toHaveLength(before.http);
    await clock.advance(60_000);
    expect(asked(nodes)).toBe(before.nodes + 1);
    await node.stop();
  });

  it('are told anew when somebody else wrote in between', async () => {
    const { nova, clock, start } = startScene(again());
    const conflict = { errors: [{ status: 409, code: 'placement.concurrent_update' }] };
    nova.failHttp(`placement PUT ${provider}/inventories`, 409, conflict);
    const empty = { resource_provider_generation: 7, inventories: {} };
    nova.answer(`placement GET ${provider}/inventories`, empty);
    nova.answer(`placement PUT ${provider}/inventories`, { ...empty, resource_provider_generation: 8 });
    const traits = { resource_provider_generation: 8, traits: ['CUSTOM_OF_OPERATOR', 'COMPUTE_OF_BEFORE'] };
    nova.answer(`placement GET ${provider}/traits`, traits);
    nova.answer(`placement PUT ${provider}/traits`, traits);
    nova.answer('placement GET /traits', { traits: [...settings.traits] });
    const node = start();
    await clock.drive(node.serving, 500);
    expect(puts(nova.said, `${provider}/inventories`)).toHaveLength(2);
    const [set] = puts(nova.said, `${provider}/traits`) as { traits: readonly string[] }[];
    expect(set?.traits).toContain('CUSTOM_OF_OPERATOR');
    expect(set?.traits).not.toContain('COMPUTE_OF_BEFORE');
    await node.stop();
  });

  it('of servers that nova deleted are freed, and of nobody else', async () => {
    const scene = startScene(again());
    registeredBefore(scene.nova);
    const [gone, moving] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'];
    const held = { resources: { VCPU: 1 } };
    scene.nova.answer(`placement GET ${provider}/allocations`, {
      resource_provider_generation: 3,
      allocations: { [server]: held, [gone]: held, [moving]: held },
    });
    const instance = (id: string, deleted: boolean) => ({
      'nova_object.name': 'Instance',
      'nova_object.namespace': 'nova',
      'nova_object.version': '2.7',
      'nova_object.data': { uuid: id, deleted },
    });
    scene.nova.answerEach('Instance.get_by_uuid', ({ args }) => {
      const { uuid: id } = args.kwargs as { uuid: string };
      return instance(id, id === gone);
    });
    scene.nova.answer(`placement DELETE /allocations/${gone}`, null);
    const node = scene.start();
    await scene.clock.drive(node.serving, 60_000);
    const deletes = scene.nova.said.flatMap((each) =>
      each.kind === 'http' && each.method === 'DELETE' ? [each.path] : [],
    );
    expect(deletes).toEqual([`/allocations/${gone}`]);
    expect(calls(scene.nova.said, 'Instance.get_by_uuid').map(({ context }) => context.read_deleted)).toEqual([
      'yes',
      'yes',
    ]);
    await node.stop();
  });
});

describe('a node is taken out of scheduling', () => {
  const setTraits = (said: readonly Said[]) =>
    (puts(said, `${provider}/traits`) as { traits: readonly string[] }[]).map(({ traits }) => traits);
  it('by set_host_enabled, and back', async () => {
    const { nova, node } = await knownNode();
    const { signal } = new AbortController();
    const now = { resource_provider_generation: 4, traits: ['COMPUTE_NODE', 'CUSTOM_OF_OPERATOR'] };
    nova.answer(`placement GET ${provider}/traits`, now);
    expect(await node.setHostEnabled(false, signal)).toBe('disabled');
    nova.answer(`placement GET ${provider}/traits`, { ...now, traits: [...now.traits, disabled] });
    expect(await node.setHostEnabled(true, signal)).toBe('enabled');
    expect(setTraits(nova.said)).toEqual([[...now.traits, disabled].sort(), now.traits]);
    await node.stop();
  });

  it('while it is not ready', async () => {
    const { nova, node, service, clock } = await knownNode();
    expect(setTraits(nova.said)).toEqual([]);
    Object.assign(service.node, { ready: false });
    service.emit('node', service.node);
    await clock.flush();
    expect(setTraits(nova.said)).toEqual([expect.arrayContaining([disabled, ...settings.traits])]);
    await node.stop();
  });
});

describe('a node keeps', () => {
  it('what users have left confirmed or deleted when its time is over, as often as it may be over', async () => {
    const scene = startScene(again(), {}, {}, { resizeConfirmWindowSec: 30, reclaimIntervalSec: 600 });
    registeredBefore(scene.nova);
    const { clock, nova, asked } = scene;
    const object = (name: string, data: object): object => ({
      'nova_object.name': name,
      'nova_object.namespace': 'nova',
      'nova_object.version': '1.0',
      'nova_object.data': data,
    });
    const left = (sec: number) => object('Instance', { uuid: server, deleted_at: new Date(sec * 1000).toISOString() });
    const now = Math.floor(clock.wallMs() / 1000);
    nova.answer('MigrationList.get_unconfirmed_by_dest_compute', object('MigrationList', { objects: [] }));
    const objects = [left(now - 570), left(now - 300)];
    nova.answer('InstanceList.get_by_filters', object('InstanceList', { objects }));
    const node = scene.start();
    await clock.drive(node.serving, 60_000);
    await clock.advance(62_000);
    expect(asked.filter((each) => /^(confirm|reclaim)/.test(each)).toSorted()).toEqual([
      'confirm 0',
      'confirm 0',
      'reclaim 1',
    ]);
    const [asks] = calls(nova.said, 'MigrationList.get_unconfirmed_by_dest_compute');
    expect(asks?.args.args).toEqual([30, 'fake1']);
    await node.stop();
  });

  it('one server after the other healed, and all power states in step', async () => {
    const { nova, clock, node, asked } = await knownNode();
    await clock.advance(120_000);
    expect(asked.filter((each) => each.startsWith('heal'))).toEqual([`heal ${server}`, `heal ${server}`]);
    await clock.advance(480_000);
    expect(asked.filter((each) => each.startsWith('power'))).toEqual(['power 1']);
    expect(calls(nova.said, 'sync_instance_info').at(-1)?.args).toEqual({
      host_name: 'fake1',
      instance_uuids: [server],
    });
    await node.stop();
  });
});
