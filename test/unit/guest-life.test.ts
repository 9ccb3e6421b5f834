/** What an instance is told and starts from, through the whole daemon on a simulated world. */
import { afterEach, expect, it } from 'vitest';
import { driveVolumeId, rescueVolumeId } from '../../core/derived-ids.ts';
import type { Args, MutatingMethod } from '../../core/ports/compute-service.ts';
import { asId, type VolumeId } from '../../core/units.ts';
import { checkWorld } from '../../drivers/sim/invariants.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { passwordLivesMs } from '../../soc-daemon/service/password-expiry.ts';
import { type SimNode, startSimNode } from '../support/sim-node.ts';

const by = { by: 'test' };
const nodes: SimNode[] = [];
let ahead = 0;
const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + ahead };

afterEach(async () => {
  ahead = 0;
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

async function start(): Promise<{ node: SimNode; world: SimWorld }> {
  const world = createSimWorld({
    clock,
    random: systemRandom,
    store: memoryWorldStore(),
    options: { volumes: { v1: { size_bytes: 1e9 } } },
  });
  const node = await startSimNode({ world, clock });
  nodes.push(node);
  return { node, world };
}

async function carryOut<Method extends MutatingMethod>(
  { service }: SimNode,
  method: Method,
  args: Args<Method>,
): Promise<Operation> {
  const { id } = await service.submit(method, args, by);
  const ended = await service.waitForEnd(id);
  expect(ended.state, JSON.stringify(ended.error)).toBe('succeeded');
  return ended;
}

const request = { name: 'one', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };

it('hands a password out for an hour from the start on that handed it out, and then erases it', async () => {
  const { node, world } = await start();
  const { instance: uuid } = await carryOut(node, 'build_and_run_instance', { ...request, config_drive: true });
  const id = asId<never>(uuid);
  const drive = () => JSON.stringify(world.state.volumes.get(driveVolumeId(id)));
  const clean = drive();
  await carryOut(node, 'reset_instance_admin_password', { uuid, new_password: 'one' });
  const first = node.store.getInstance(id)?.guest?.password ?? '';
  await carryOut(node, 'reset_instance_admin_password', { uuid, new_password: 'two' });
  const second = node.store.getInstance(id)?.guest?.password ?? '';
  await expect(node.store.readSecret(first)).rejects.toMatchObject({ code: 'not_found' });
  expect(await node.store.readSecret(second)).toContain('$6$');
  expect(drive()).not.toBe(clean);
  ahead = 10 * passwordLivesMs; // nothing has handed it out yet
  await node.daemon.reconcile();
  expect(node.store.getInstance(id)?.guest?.password).toBe(second);
  await carryOut(node, 'reboot_instance', { uuid, type: 'hard' });
  await node.daemon.reconcile();
  expect(node.store.getInstance(id)?.guest?.password).toBe(second);
  ahead += passwordLivesMs + 1000;
  await node.daemon.reconcile();
  expect(node.store.getInstance(id)?.guest?.password).toBeNull();
  await expect(node.store.readSecret(second)).rejects.toMatchObject({ code: 'not_found' });
  expect(drive()).toBe(clean);
});

it('is told user data and a password of one build', async () => {
  const { node } = await start();
  const userdata = { user_data: '#cloud-config\n', admin_pass: 'one' };
  const { instance: uuid } = await carryOut(node, 'build_and_run_instance', { ...request, userdata });
  const { userData, password } = node.store.getInstance(asId<never>(uuid))?.guest ?? {};
  expect(await node.store.readSecret(userData ?? '')).toBe(JSON.stringify(userdata.user_data));
  expect(await node.store.readSecret(password ?? '')).toContain('$6$');
  await carryOut(node, 'rebuild_instance', { uuid, userdata: { admin_pass: 'two' } });
  expect(node.store.getInstance(asId<never>(uuid))?.guest).toMatchObject({ userData: null });
});

it('starts from a volume of others, which is changed while it is stopped', async () => {
  const { node, world } = await start();
  const volume = { volume_id: 'v1', bootable: true };
  const { image: _, ...rest } = request;
  const { instance: uuid } = await carryOut(node, 'build_and_run_instance', { ...rest, volumes: [volume] });
  const submit = node.service.submit;
  await expect(submit('detach_volume', { uuid, volume_id: 'v1' }, by)).rejects.toMatchObject({ code: 'bad_state' });
  await carryOut(node, 'rebuild_instance', { uuid });
  await expect(submit('rebuild_instance', { uuid, image: 'demo' }, by)).rejects.toMatchObject({ code: 'unsupported' });
  await carryOut(node, 'stop_instance', { uuid, timeout: 0 });
  await expect(submit('attach_volume', { uuid, volume }, by)).rejects.toMatchObject({ code: 'conflict' });
  await carryOut(node, 'detach_volume', { uuid, volume_id: 'v1' });
  for (const method of ['start_instance', 'reboot_instance', 'rescue_instance'] as const) {
    const args = method === 'reboot_instance' ? { uuid, type: 'hard' as const } : { uuid };
    await expect(submit(method, args as Args<typeof method>, by)).rejects.toMatchObject({ code: 'bad_state' });
  }
  await carryOut(node, 'attach_volume', { uuid, volume });
  await carryOut(node, 'start_instance', { uuid });
  expect(world.host.row().bootedFrom).toBe(node.service.getInstance(uuid).volumes[0]?.function_id);
  await carryOut(node, 'destroy_instance', { uuid });
  expect(world.state.volumes.has('v1' as VolumeId)).toBe(true);
  expect(checkWorld(world)).toEqual([]);
});

it('is rescued from a disk of its own, and is itself again', async () => {
  const { node, world } = await start();
  const { instance: uuid } = await carryOut(node, 'build_and_run_instance', request);
  const before = node.service.getInstance(uuid);
  await carryOut(node, 'rescue_instance', { uuid, admin_pass: 'x' });
  const rescued = node.service.getInstance(uuid);
  const disk = rescued.volumes.find(({ volume_id }) => volume_id === rescueVolumeId(asId<never>(uuid)));
  expect(rescued).toMatchObject({ state: 'rescued', status: 'down' });
  expect(world.host.row().bootedFrom).toBe(disk?.function_id);
  await expect(
    node.service.submit('detach_volume', { uuid, volume_id: disk?.volume_id ?? '' }, by),
  ).rejects.toMatchObject({ code: 'bad_state' });
  await carryOut(node, 'unrescue_instance', { uuid });
  expect(node.service.getInstance(uuid)).toMatchObject({ state: 'active', volumes: before.volumes });
  expect(world.host.row().bootedFrom).toBe(before.volumes[0]?.function_id);
  expect(node.store.getInstance(asId<never>(uuid))?.guest?.password).toBeNull();
});

it('is rescued from a volume that it is given, which stays its owner’s', async () => {
  const { node, world } = await start();
  const { instance: uuid } = await carryOut(node, 'build_and_run_instance', request);
  const before = node.service.getInstance(uuid);
  const volume = { volume_id: 'v1', connection_info: { driver_volume_type: 'iscsi', data: { target_lun: 1 } } };
  const submit = node.service.submit;
  await expect(submit('rescue_instance', { uuid, volume, image: 'demo' }, by)).rejects.toMatchObject({
    code: 'invalid',
  });
  const own = { volume_id: before.volumes[0]?.volume_id ?? '' };
  await expect(submit('rescue_instance', { uuid, volume: own }, by)).rejects.toMatchObject({
    code: 'conflict',
    field: 'volume.volume_id',
  });
  await carryOut(node, 'rescue_instance', { uuid, volume, admin_pass: 'x' });
  const disk = node.service.getInstance(uuid).volumes.find(({ volume_id: id }) => id === 'v1');
  expect(world.host.row().bootedFrom).toBe(disk?.function_id);
  await expect(submit('detach_volume', { uuid, volume_id: 'v1' }, by)).rejects.toMatchObject({ code: 'bad_state' });
  await carryOut(node, 'unrescue_instance', { uuid });
  expect(node.service.getInstance(uuid)).toMatchObject({ state: 'active', volumes: before.volumes });
  expect(world.host.row().bootedFrom).toBe(before.volumes[0]?.function_id);
  expect(world.state.volumes.has('v1' as VolumeId)).toBe(true);
  expect(checkWorld(world)).toEqual([]);
});

it('gives a running instance back what it had when it can not be rescued', async () => {
  const { node, world } = await start();
  const { instance: uuid } = await carryOut(node, 'build_and_run_instance', request);
  const before = node.service.getInstance(uuid);
  world.faults.order({ port: 'power', method: 'setNextBoot', kind: 'fail-once', code: 'unsupported' });
  const { id } = await node.service.submit('rescue_instance', { uuid }, by);
  expect(await node.service.waitForEnd(id)).toMatchObject({ state: 'failed', error: { code: 'unsupported' } });
  expect(node.service.getInstance(uuid)).toMatchObject({ state: 'active', volumes: before.volumes });
  expect(world.host.row()).toMatchObject({ power: 'on', bootedFrom: before.volumes[0]?.function_id });
});
