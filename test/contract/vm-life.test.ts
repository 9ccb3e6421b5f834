/** What a node of virtual machines does for each kind of request, by its use cases, on a simulated host. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import type { Args, MutatingMethod } from '../../core/ports/compute-service.ts';
import { asId, type InstanceId } from '../../core/units.ts';
import { checkOwners, checkWorld } from '../../drivers/sim/invariants.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type SimNode, startSimNode } from '../support/sim-node.ts';

const by = { by: 'test' };
const data = '60000000-0000-4000-8000-000000000001';
const boot = '60000000-0000-4000-8000-000000000002';
const idOf = (number: number): InstanceId =>
  asId<InstanceId>(`c0ffee00-0000-4000-8000-00000000000${number.toString(16)}`);
const uuid = idOf(1);

let world: SimWorld;
let node: SimNode;
beforeEach(async () => {
  world = createSimWorld({
    clock: systemClock,
    random: seededRandom('vm-life'),
    store: memoryWorldStore(),
    options: {
      host: { cpus: 16, memory_mib: 32_768 },
      volumes: { [data]: { size_bytes: 2 ** 30 }, [boot]: { size_bytes: 2 ** 30, bootable: true } },
    },
    timing: { enumerationMs: 1 },
    hypervisor: true,
  });
  node = await startSimNode({ world, nodeType: 'VM' });
});
afterEach(async () => {
  const known = new Set(
    node.service
      .listInstances({})
      .instances.filter(({ state }) => state !== 'deleted')
      .map((each) => asId<InstanceId>(each.uuid)),
  );
  const broken = [...checkWorld(world), ...checkOwners(world, known)];
  await node.stop();
  world.close();
  expect(broken).toEqual([]);
});

async function ended<Method extends MutatingMethod>(method: Method, args: Args<Method>): Promise<Operation> {
  const { id } = await node.service.submit(method, args, by);
  return await node.service.waitForEnd(id);
}

async function does<Method extends MutatingMethod>(method: Method, args: Args<Method>): Promise<Operation> {
  const operation = await ended(method, args);
  expect(operation).toMatchObject({ state: 'succeeded', error: null });
  return operation;
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (hasCode(error, 'internal') ? 'internal' : String((error as { code?: string }).code)),
  );
const build = (id: InstanceId, flavor = '4c8g') =>
  does('build_and_run_instance', { uuid: id, name: `vm-${id}`, flavor, image: 'demo', networks: [{ subnet: 'net1' }] });
const machine = (id = uuid) => world.state.machines.get(id);
const view = (id = uuid) => node.service.getInstance(id);

describe('a node of virtual machines', () => {
  it('builds an instance of VFs, its boot disk plugged last, and takes all of it away', async () => {
    const { steps } = await build(uuid);
    expect(view()).toMatchObject({ state: 'active', status: 'up' });
    const functions = world.state.functions.rows();
    expect(functions.map((each) => each.type)).toEqual(['VF', 'VF']);
    const disk = functions.find((each) => each.class === 'virtio-blk');
    expect(machine()).toMatchObject({ state: 'running', bootedFrom: disk?.id, flavor: { vcpus: 4 } });
    expect(
      machine()
        ?.devices.map((each) => each.bdf)
        .sort(),
    ).toEqual(functions.map((each) => each.bdf).sort());
    const plugs = steps.filter((each) => each.name.includes(':plug:')).map((each) => each.name);
    expect(plugs.at(-1)).toMatch(/^disk:plug:/);
    await does('destroy_instance', { uuid });
    expect(world.state.machines.rows()).toEqual([]);
    expect(world.state.functions.rows()).toEqual([]);
    expect(world.host.row().power).toBe('on');
  });

  it('takes many at once up to what the host has, and refuses what is beyond', async () => {
    const ids = [1, 2, 3, 4].map(idOf);
    await Promise.all(ids.map((id) => build(id)));
    expect(node.service.nodeStatus()).toMatchObject({
      total_cpu: 16,
      used_cpu: 16,
      total_mem: 32_768,
      used_mem: 32_768,
      host_power: 'on',
    });
    const refused = await ended('build_and_run_instance', {
      uuid: idOf(5),
      name: 'vm',
      flavor: '1c1g',
      image: 'demo',
    }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'exhausted', field: 'flavor', details: { wanted: 1, free: 0, total: 16 } });
    await does('destroy_instance', { uuid: idOf(2) });
    expect(node.service.nodeStatus()).toMatchObject({ used_cpu: 12, used_mem: 24_576 });
    await build(idOf(5));
    for (const id of [1, 3, 4, 5].map(idOf)) await does('destroy_instance', { uuid: id });
  });

  it('holds the share of a machine that grows from the acceptance on', async () => {
    await build(uuid);
    await does('stop_instance', { uuid, timeout: 1 });
    const hold = world.faults.order({ port: 'agent', method: 'defineDomain', kind: 'hang' });
    const { id } = await node.service.submit('resize_vm', { uuid, new_flavor: '14c8g' }, by);
    const args = { uuid: idOf(2), name: 'vm', flavor: '4c8g', image: 'demo' };
    expect(await codeOf(node.service.submit('build_and_run_instance', args, by))).toBe('exhausted');
    await node.service.cancelOperation(id, by);
    hold();
    expect(await node.service.waitForEnd(id)).toMatchObject({ state: 'cancelled' });
    expect(machine()?.flavor.vcpus).toBe(4);
    await build(idOf(2));
    expect(await codeOf(node.service.submit('resize_vm', { uuid, new_flavor: '13c8g' }, by))).toBe('exhausted');
  });

  it('stops and starts, also by force, and reboots', async () => {
    await build(uuid);
    world.faults.order({ port: 'agent', method: 'shutdownDomain', kind: 'ignores-soft-off', times: 1 });
    await does('stop_instance', { uuid, timeout: 0 });
    expect(machine()?.state).toBe('off');
    expect(view()).toMatchObject({ state: 'stopped' });
    await does('start_instance', { uuid });
    for (const type of ['soft', 'hard'] as const) await does('reboot_instance', { uuid, type });
    expect(machine()).toMatchObject({ state: 'running', boots: 4 });
  });

  it('pauses and suspends, goes on, and says which of it is not possible now', async () => {
    await build(uuid);
    await does('pause_vm', { uuid });
    expect([machine()?.state, view().state]).toEqual(['paused', 'paused']);
    expect(await codeOf(ended('suspend_instance', { uuid }))).toBe('bad_state');
    await does('unpause_vm', { uuid });
    await does('suspend_instance', { uuid });
    expect([machine()?.state, view().state]).toEqual(['suspended', 'suspended']);
    await node.daemon.reconcile();
    expect([machine()?.state, view().state]).toEqual(['suspended', 'suspended']);
    await does('resume_instance', { uuid });
    expect([machine()?.state, view().state]).toEqual(['running', 'active']);
    world.faults.order({ port: 'agent', method: 'suspendDomain', kind: 'fail-once', code: 'unsupported' });
    expect(await ended('suspend_instance', { uuid })).toMatchObject({
      state: 'failed',
      error: { code: 'unsupported' },
    });
    expect([machine()?.state, view().state]).toEqual(['running', 'active']);
  });

  it.each(['active', 'stopped'] as const)('resizes one that is %s, and undoes what fails', async (state) => {
    await build(uuid);
    if (state === 'stopped') await does('stop_instance', { uuid, timeout: 1 });
    await does('resize_vm', { uuid, new_flavor: '8c16g' });
    expect(machine()).toMatchObject({ state: state === 'active' ? 'running' : 'off', flavor: { vcpus: 8 } });
    expect(node.service.nodeStatus()).toMatchObject({ used_cpu: 8, used_mem: 16_384 });
    world.faults.order({ port: 'agent', method: 'defineDomain', kind: 'fail-once', code: 'hardware' });
    expect(await ended('resize_vm', { uuid, new_flavor: '4c8g' })).toMatchObject({ state: 'failed' });
    expect(machine()).toMatchObject({ state: state === 'active' ? 'running' : 'off', flavor: { vcpus: 8 } });
    expect(view()).toMatchObject({ state });
  });

  it.each(['active', 'stopped', 'paused'] as const)('gives and takes devices while %s', async (state) => {
    await build(uuid);
    if (state === 'stopped') await does('stop_instance', { uuid, timeout: 1 });
    if (state === 'paused') await does('pause_vm', { uuid });
    await does('attach_volume', { uuid, volume: { volume_id: data } });
    await does('attach_interface', { uuid, network: { subnet: 'net1' } });
    expect(machine()?.devices).toHaveLength(4);
    expect(view()).toMatchObject({ state });
    const port = view().interfaces.at(-1)?.port_id ?? '';
    world.faults.order({ port: 'agent', method: 'detachDevice', kind: 'fail-once', code: 'busy' });
    await does('detach_interface', { uuid, port_id: port });
    await does('detach_volume', { uuid, volume_id: data });
    expect(machine()?.devices).toHaveLength(2);
    world.faults.order({ port: 'agent', method: 'attachDevice', kind: 'fail-once', code: 'hardware' });
    expect(await ended('attach_volume', { uuid, volume: { volume_id: data } })).toMatchObject({ state: 'failed' });
    expect(world.state.functions.rows()).toHaveLength(2);
  });

  it('is made anew from an image, and keeps its ports and data disks', async () => {
    await build(uuid);
    await does('attach_volume', { uuid, volume: { volume_id: data } });
    const before = machine()?.bootedFrom;
    const ports = view().interfaces;
    world.faults.order({ port: 'volume', method: 'ensureVolumeFromImage', kind: 'fail-once', code: 'hardware' });
    expect(await ended('rebuild_instance', { uuid })).toMatchObject({ state: 'failed' });
    expect(machine()).toMatchObject({ state: 'running', bootedFrom: before });
    await does('rebuild_instance', { uuid });
    expect(machine()?.state).toBe('running');
    expect(machine()?.bootedFrom).not.toBe(before);
    expect(machine()?.devices).toHaveLength(3);
    expect(view().interfaces.map((each) => each.mac)).toEqual(ports.map((each) => each.mac));
    expect(world.state.volumes.rows().filter((each) => each.madeFor)).toHaveLength(1);
  });

  it.each(['active', 'stopped'] as const)('is rescued from %s and back; what fails is undone', async (state) => {
    await build(uuid);
    if (state === 'stopped') await does('stop_instance', { uuid, timeout: 1 });
    const own = world.state.functions.rows().find((each) => each.mark?.role === 'boot')?.id;
    world.faults.order({ port: 'agent', method: 'startDomain', kind: 'fail-once', code: 'hardware' });
    expect(await ended('rescue_instance', { uuid })).toMatchObject({ state: 'failed' });
    expect(view()).toMatchObject({ state });
    expect(machine()).toMatchObject({ state: state === 'active' ? 'running' : 'off' });
    if (state === 'active') expect(machine()?.bootedFrom).toBe(own);
    expect(world.state.functions.size).toBe(2);
    await does('rescue_instance', { uuid });
    expect(view()).toMatchObject({ state: 'rescued' });
    expect(machine()?.bootedFrom).not.toBe(own);
    expect(machine()?.devices.map((each) => each.functionId)).toContain(own);
    await does('unrescue_instance', { uuid });
    expect(machine()).toMatchObject({ state: 'running', bootedFrom: own });
    expect(machine()?.devices).toHaveLength(2);
  });

  it('sets a password at once where the guest has an agent, else at the next start', async () => {
    await build(uuid);
    const { result } = await does('reset_instance_admin_password', { uuid, new_password: 'first' });
    expect(result).toMatchObject({ takes_effect: 'now' });
    expect(machine()?.adminPassword).toMatchObject({ user: 'root', hash: expect.stringMatching(/^\$6\$/) });
    world.faults.order({ port: 'agent', method: 'setAdminPassword', kind: 'no-guest-agent' });
    const later = await does('reset_instance_admin_password', { uuid, new_password: 'second' });
    expect(later.result).toMatchObject({ takes_effect: 'next_start' });
    expect(JSON.stringify(world.state.machines.rows())).not.toContain('first');
  });

  it('grows and snapshots a volume, and limits a port', async () => {
    await build(uuid);
    const { volumes, interfaces } = view();
    const volume_id = volumes[0]?.volume_id ?? '';
    await does('create_snapshot', { uuid, volume_id });
    await does('resize_volume', { uuid, volume_id, size_bytes: 2 ** 31 });
    await does('set_interface_qos', { port_id: interfaces[0]?.port_id ?? '', bps: 1_000_000 });
    expect(view().volumes[0]?.size_bytes).toBe(2 ** 31);
  });

  it('moves an instance away and back; what this node made can not move', async () => {
    await build(uuid);
    expect(await codeOf(ended('prepare_migration', { uuid, target: 'other' }))).toBe('unsupported');
    await does('destroy_instance', { uuid });
    const mover = idOf(2);
    const args = {
      uuid: mover,
      name: 'mover',
      flavor: '4c8g',
      volumes: [{ volume_id: boot, bootable: true }, { volume_id: data }],
      networks: [{ subnet: 'net1' }],
    };
    await does('build_and_run_instance', args);
    const { interfaces } = view(mover);
    await does('set_interface_qos', { port_id: interfaces[0]?.port_id ?? '', bps: 1_000_000 });
    await does('prepare_migration', { uuid: mover, target: 'other' });
    expect(view(mover)).toMatchObject({ state: 'migrating' });
    expect([world.state.machines.size, world.state.functions.size, world.state.exports.size]).toEqual([0, 0, 0]);
    await node.daemon.reconcile();
    expect([world.state.machines.size, world.state.functions.size]).toEqual([0, 0]);
    expect(node.service.nodeStatus().used_cpu).toBe(4);
    await does('abort_migration', { uuid: mover });
    expect(view(mover)).toMatchObject({ state: 'active' });
    expect(view(mover).interfaces.map(({ mac, ips }) => ({ mac, ips }))).toEqual(
      interfaces.map(({ mac, ips }) => ({ mac, ips })),
    );
    expect(machine(mover)).toMatchObject({ state: 'running' });
    await node.daemon.reconcile();
    expect(world.state.ports.rows()[0]?.qos).toMatchObject({ bitsPerSecond: 1_000_000 });
    await does('prepare_migration', { uuid: mover, target: 'other' });
    await does('finish_migration', { uuid: mover });
    expect(view(mover)).toMatchObject({ state: 'deleted' });
    expect(node.service.nodeStatus().used_cpu).toBe(0);
    await does('build_and_run_instance', args);
    expect(view(mover)).toMatchObject({ state: 'active' });
  });

  it('follows what happens to a machine by itself', async () => {
    await build(uuid);
    world.host.restart();
    await node.daemon.reconcile();
    expect(view()).toMatchObject({ state: 'stopped' });
    world.faults.order({ port: 'snic', method: 'enumerate', kind: 'bdf-changes' });
    await does('start_instance', { uuid });
    await world.agent.destroyDomain(uuid);
    await world.agent.undefineDomain(uuid);
    await node.daemon.reconcile();
    await node.daemon.reconcile();
    expect(view()).toMatchObject({ state: 'stopped' });
    expect(machine()).toMatchObject({ state: 'off' });
    await does('start_instance', { uuid });
    expect(machine()).toMatchObject({ state: 'running' });
    const [nic] = machine()?.devices.filter((each) => each.kind === 'nic') ?? [];
    if (!nic) throw new Error('the machine has no NIC');
    await world.agent.detachDevice(uuid, nic.functionId, { deadlineMs: 100 });
    await node.daemon.reconcile();
    expect(machine()?.devices).toHaveLength(2);
  });

  it('readopts an instance with the sizes that it has now, and removes what was never whole', async () => {
    await build(uuid);
    await does('resize_vm', { uuid, new_flavor: '8c16g' });
    await does('pause_vm', { uuid });
    node.connection.drop();
    const before = node;
    node = await startSimNode({ world, nodeType: 'VM' });
    await before.stop();
    expect(view()).toMatchObject({ state: 'paused', flavor: { name: '8c16g', vcpus: 8 } });
    await does('unpause_vm', { uuid });
    await does('destroy_instance', { uuid });
  });

  it('is not ready while the agent is away, and tells the counters of a machine', async () => {
    await build(uuid);
    expect(await node.service.diagnostics(uuid)).toMatchObject({
      state: 'running',
      vcpus: 4,
      memory_mib: 8192,
      disks: [{ volume_id: view().volumes[0]?.volume_id }],
      nics: [{ port_id: view().interfaces[0]?.port_id, mac: view().interfaces[0]?.mac }],
    });
    expect(await codeOf(node.service.diagnostics(idOf(9)))).toBe('not_found');
    const start = world.stopPeer('agent');
    await node.daemon.reconcile();
    expect(node.service.nodeStatus()).toMatchObject({
      ready: false,
      host_power: 'unknown',
      not_ready_reasons: [{ id: 'agent-unreachable' }],
    });
    expect(await codeOf(node.service.diagnostics(uuid))).toBe('unavailable');
    start();
    await expect.poll(() => node.service.nodeStatus().ready, { timeout: 5000 }).toBe(true);
  });
});
