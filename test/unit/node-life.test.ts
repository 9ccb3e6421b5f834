/** The whole daemon, all but its sockets, on a simulated world. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Args, MutatingMethod } from '../../core/ports/compute-service.ts';
import type { VolumeId } from '../../core/units.ts';
import { checkWorld } from '../../drivers/sim/invariants.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { type SimNode, startSimNode } from '../support/sim-node.ts';

const caller = { by: 'test' };
const nodes: SimNode[] = [];

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

function createWorld(): SimWorld {
  return createSimWorld({
    clock: systemClock,
    random: systemRandom,
    store: memoryWorldStore(),
    options: { volumes: { v1: { size_bytes: 1e9 }, v2: { size_bytes: 1e9 } } },
  });
}

async function startNode(world = createWorld()): Promise<{ node: SimNode; world: SimWorld }> {
  const node = await startSimNode({ world });
  nodes.push(node);
  return { node, world };
}

async function carryOut<Method extends MutatingMethod>(
  node: SimNode,
  method: Method,
  args: Args<Method>,
): Promise<Operation> {
  const { id } = await node.service.submit(method, args, caller);
  return node.service.waitForEnd(id);
}

const request = { name: 'one', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };

describe('node', () => {
  it('leaves the host to its instance when one that failed to build is destroyed', async () => {
    const { node, world } = await startNode();
    world.faults.order({ port: 'snic', method: 'ensureFunction', kind: 'fail-once', code: 'hardware' });
    const failed = await carryOut(node, 'build_and_run_instance', request);
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'hardware' } });
    expect(node.service.getInstance(failed.instance)).toMatchObject({ state: 'error', todo: { code: 'hardware' } });
    const built = await carryOut(node, 'build_and_run_instance', request);
    expect(built.state).toBe('succeeded');
    expect(node.service.nodeStatus().host_power).toBe('on'); // at once, not after the next look at the BMC
    const destroyed = await carryOut(node, 'destroy_instance', { uuid: failed.instance });
    expect(destroyed.state).toBe('succeeded');
    expect(world.host.row().power).toBe('on');
    expect(node.service.getInstance(built.instance).state).toBe('active');
    expect(checkWorld(world)).toEqual([]);
  });

  it('limits a NIC, shows it, and limits it again when the switch forgot or the store is lost', async () => {
    const { node, world } = await startNode();
    const { instance } = await carryOut(node, 'build_and_run_instance', request);
    const port = node.service.getInstance(instance).interfaces[0]?.port_id ?? '';
    const limits = { bps: 10_000_000, pps: 2000, direction: 'egress' } as const;
    const seen = () => [...world.state.ports.rows()].find((row) => row.portId === port)?.qos;
    const wanted = { bitsPerSecond: 10_000_000, packetsPerSecond: 2000, direction: 'egress' };
    await expect(node.service.submit('set_interface_qos', { port_id: 'none', bps: 1 }, caller)).rejects.toMatchObject({
      code: 'not_found',
      field: 'port_id',
    });
    expect((await carryOut(node, 'set_interface_qos', { port_id: port, ...limits })).state).toBe('succeeded');
    expect(seen()).toEqual(wanted);
    expect(node.service.getInstance(instance).interfaces[0]?.qos).toEqual(limits);
    world.restartPeer('ovs', { losePorts: true });
    await node.daemon.reconcile();
    expect(seen()).toEqual(wanted);
    await node.stop();
    nodes.splice(0);
    const { node: reborn } = await startNode(world);
    expect(reborn.service.getInstance(instance).interfaces[0]?.qos).toEqual(limits);
    expect((await carryOut(reborn, 'set_interface_qos', { port_id: port })).state).toBe('succeeded');
    expect(seen()).toBeNull();
    expect(reborn.service.getInstance(instance).interfaces[0]?.qos).toBeNull();
    expect(checkWorld(world)).toEqual([]);
  });

  it('grows a disk in use, goes on after a failure in the middle, and never shrinks one', async () => {
    const { node, world } = await startNode();
    const { instance } = await carryOut(node, 'build_and_run_instance', { ...request, volumes: [{ volume_id: 'v1' }] });
    const grow = { uuid: instance, volume_id: 'v1', size_bytes: 2e9 };
    world.faults.order({ port: 'storage', method: 'resized', kind: 'fail-once', code: 'unavailable' });
    expect((await carryOut(node, 'resize_volume', grow)).state).toBe('succeeded');
    const shown = () => node.service.getInstance(instance).volumes.find((each) => each.volume_id === 'v1')?.size_bytes;
    expect(shown()).toBe(2e9);
    expect((await world.volumes.getVolume('v1' as VolumeId)).sizeBytes).toBe(2e9);
    expect((await world.storage.list()).find((each) => each.volumeId === 'v1')?.sizeBytes).toBe(2e9);
    await expect(node.service.submit('resize_volume', { ...grow, size_bytes: 1e9 }, caller)).rejects.toMatchObject({
      code: 'invalid',
      field: 'size_bytes',
    });
    expect((await carryOut(node, 'resize_volume', grow)).state).toBe('succeeded');
  });

  it('takes a snapshot of a disk in use, and takes it back when that fails half-way', async () => {
    const { node, world } = await startNode();
    const { instance } = await carryOut(node, 'build_and_run_instance', { ...request, volumes: [{ volume_id: 'v1' }] });
    const done = await carryOut(node, 'create_snapshot', {
      uuid: instance,
      volume_id: 'v1',
      name: 'before',
      request_id: 'r1',
    });
    expect(done).toMatchObject({ state: 'succeeded', result: { volume_id: 'v1', name: 'before', size_bytes: 1e9 } });
    const again = await carryOut(node, 'create_snapshot', {
      uuid: instance,
      volume_id: 'v1',
      name: 'before',
      request_id: 'r1',
    });
    expect(again.id).toBe(done.id);
    const taken = await world.volumes.listSnapshots('v1' as VolumeId);
    expect(taken.map(({ id }) => id)).toEqual([(done.result as { snapshot_id: string }).snapshot_id]);
    await expect(
      node.service.submit('create_snapshot', { uuid: instance, volume_id: 'v2' }, caller),
    ).rejects.toMatchObject({ code: 'not_found', field: 'volume_id' });
    world.faults.order({ port: 'volume', method: 'ensureSnapshot', kind: 'lost-answer', times: 1000 });
    const pending = await node.service.submit('create_snapshot', { uuid: instance, volume_id: 'v1' }, caller);
    await vi.waitFor(async () => expect(await world.volumes.listSnapshots('v1' as VolumeId)).toHaveLength(2));
    await node.service.cancelOperation(pending.id, caller);
    expect(await node.service.waitForEnd(pending.id)).toMatchObject({ state: 'cancelled' });
    expect(await world.volumes.listSnapshots('v1' as VolumeId)).toHaveLength(1);
    expect(node.service.getInstance(instance).state).toBe('active');
  });

  it('refuses a second instance, an unknown flavor, a volume that is not there', async () => {
    const { node } = await startNode();
    const built = await carryOut(node, 'build_and_run_instance', request);
    const submit = (more: object) => node.service.submit('build_and_run_instance', { ...request, ...more }, caller);
    await expect(submit({})).rejects.toMatchObject({ code: 'conflict', details: { instance: built.instance } });
    await expect(submit({ flavor: 'huge' })).rejects.toMatchObject({ code: 'not_found', field: 'flavor' });
    await expect(submit({ flavor: '999c1g' })).rejects.toMatchObject({ code: 'exhausted', field: 'flavor' });
    await expect(submit({ volumes: [{ volume_id: 'none' }] })).rejects.toMatchObject({
      code: 'not_found',
      field: 'volumes[0].volume_id',
    });
    await expect(submit({ networks: [{ subnet: 'none' }] })).rejects.toMatchObject({
      code: 'not_found',
      field: 'networks[0].subnet',
    });
    expect(node.service.listInstances({}).instances).toHaveLength(1);
  });

  it('answers the first operation when the same request comes again, and names what differs when it does not', async () => {
    const { node } = await startNode();
    const uuid = '7d9a4c3e-3f0e-4a52-9d3f-0c2f8f3f8a11';
    const [first, second] = await Promise.all([
      node.service.submit('build_and_run_instance', { ...request, uuid }, caller),
      node.service.submit('build_and_run_instance', { ...request, uuid }, caller),
    ]);
    expect(second.id).toBe(first.id);
    await expect(
      node.service.submit('build_and_run_instance', { ...request, uuid, name: 'two' }, caller),
    ).rejects.toMatchObject({ code: 'conflict', field: 'name', details: { operation: first.id } });
    await node.service.waitForEnd(first.id);
    const volume = { uuid, volume: { volume_id: 'v1' }, request_id: 'r1' };
    const attached = await carryOut(node, 'attach_volume', volume);
    expect(attached.state).toBe('succeeded');
    expect((await node.service.submit('attach_volume', volume, caller)).id).toBe(attached.id);
    await expect(node.service.submit('attach_volume', { ...volume, request_id: 'r2' }, caller)).rejects.toMatchObject({
      code: 'conflict',
      field: 'volume.volume_id',
    });
  });

  it('tells of each step of an operation only where somebody follows', async () => {
    const { node } = await startNode();
    const told: string[] = [];
    const leave = node.service.subscribe(({ type, data }) => {
      if (type === 'operation' && 'kind' in data) told.push(`${data.kind} ${data.state}`);
    });
    const { instance } = await carryOut(node, 'build_and_run_instance', request);
    expect(told).toEqual(['build succeeded']);
    node.service.subscribe(() => {}, Number.POSITIVE_INFINITY);
    await carryOut(node, 'destroy_instance', { uuid: instance });
    expect(told.filter((each) => each === 'destroy running').length).toBeGreaterThan(3);
    leave();
  });

  it('lets a destroy overtake a build, and takes everything back', async () => {
    const { node, world } = await startNode();
    world.faults.order({ port: 'volume', method: 'connect', kind: 'hang', times: 1 });
    const hanging = new Promise<void>((resolve) => {
      node.service.subscribe(({ data }) => {
        const steps = 'steps' in data ? data.steps : [];
        if (steps.some(({ name, phase }) => name.startsWith('disk:connect') && phase === 'doing')) resolve();
      }, Number.POSITIVE_INFINITY);
    });
    const build = await node.service.submit('build_and_run_instance', request, caller);
    await hanging;
    await new Promise((resolve) => setImmediate(resolve)); // its effect begins behind the commit that was told of
    const destroyed = await carryOut(node, 'destroy_instance', { uuid: build.instance });
    expect(destroyed.state).toBe('succeeded');
    expect(node.service.getOperation(build.id).state).toBe('cancelled');
    expect(node.service.getInstance(build.instance).state).toBe('deleted');
    expect(node.service.listFunctions()).toEqual([]);
    expect(checkWorld(world)).toEqual([]);
    expect((await carryOut(node, 'build_and_run_instance', request)).state).toBe('succeeded');
  });

  it('waits for a stuck operation that was sent on, from the moment that it was', async () => {
    const { node, world } = await startNode();
    const { instance } = await carryOut(node, 'build_and_run_instance', request);
    world.faults.order({ port: 'snic', method: 'releaseFunction', kind: 'fail-once', code: 'hardware' });
    const stuck = await carryOut(node, 'destroy_instance', { uuid: instance });
    expect(stuck).toMatchObject({ state: 'stuck', error: { code: 'hardware' } });
    const sentOn = node.service.retryOperation(stuck.id, caller);
    await expect(node.service.retryOperation(stuck.id, caller)).rejects.toMatchObject({ code: 'bad_state' });
    expect((await sentOn).state).toBe('queued');
    expect((await node.service.waitForEnd(stuck.id)).state).toBe('succeeded');
    expect(checkWorld(world)).toEqual([]);
  });

  it('sees its user shut the host down and start it', async () => {
    const { node, world } = await startNode();
    const { instance } = await carryOut(node, 'build_and_run_instance', request);
    world.host.shutDownByUser();
    await node.daemon.reconcile();
    expect(node.service.getInstance(instance)).toMatchObject({ state: 'stopped', status: 'down' });
    world.host.powerOnByHand();
    await node.daemon.reconcile();
    expect(node.service.getInstance(instance)).toMatchObject({ state: 'active', status: 'up' });
  });

  it('makes again what the storage target forgot', async () => {
    const { node, world } = await startNode();
    await carryOut(node, 'build_and_run_instance', { ...request, volumes: [{ volume_id: 'v1' }] });
    const before = (await world.storage.list()).map((each) => each.functionId).sort();
    world.restartPeer('storage');
    expect(await world.storage.list()).toEqual([]);
    await node.daemon.reconcile();
    expect((await world.storage.list()).map((each) => each.functionId).sort()).toEqual(before);
    expect(checkWorld(world)).toEqual([]);
  });

  it('readopts a running instance after the store is lost', async () => {
    const { node, world } = await startNode();
    const built = await carryOut(node, 'build_and_run_instance', request);
    const before = node.service.getInstance(built.instance);
    const { uuid } = node.service.nodeStatus();
    nodes.splice(0);
    await node.stop();
    const { node: next } = await startNode(world);
    expect(next.service.nodeStatus()).toMatchObject({ uuid, ready: true });
    const after = next.service.getInstance(built.instance);
    expect(after).toMatchObject({ name: before.name, state: 'active', flavor: before.flavor });
    expect(after.interfaces.map(({ mac, ips }) => ({ mac, ips }))).toEqual(
      before.interfaces.map(({ mac, ips }) => ({ mac, ips })),
    );
    expect((await carryOut(next, 'destroy_instance', { uuid: built.instance })).state).toBe('succeeded');
    expect(await world.snic.listFunctions()).toEqual([]);
    expect(checkWorld(world)).toEqual([]);
  });

  it('tells of a destroyed instance again after a reconnect', async () => {
    const { node } = await startNode();
    const built = await carryOut(node, 'build_and_run_instance', request);
    await carryOut(node, 'destroy_instance', { uuid: built.instance });
    for (const { seq } of node.store.casts(100)) await node.store.castDelivered(seq);
    await node.store.reportAllInstances();
    expect(node.store.casts(100).map(({ args }) => [args.uuid, args.state])).toEqual([[built.instance, 'deleted']]);
  });
});
