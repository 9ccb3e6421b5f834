import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asId, type VolumeId } from '../../core/units.ts';
import { checkWorld } from '../../drivers/sim/invariants.ts';
import { sqliteWorldStore } from '../../drivers/sim/sqlite-world-store.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { diskSpec, instance, markOf, nicSpec, node as nodeId, portId, rejection, volumeId } from './samples.ts';
import { type SimNode, simNode } from './sim-node.ts';

const otherVolume = asId<VolumeId>('77777777-7777-4777-8777-777777777777');
const direct = { protocol: 'nvmeof', data: { size_bytes: 4096 } };

describe('the simulated card and host', () => {
  let node: SimNode;
  beforeEach(() => {
    node = simNode();
  });
  const functions = () => node.run(node.world.snic.listFunctions());
  const rules = () => checkWorld(node.world).map((each) => each.rule);

  it('gives a new function a slot that nobody had, while there is one', async () => {
    const first = await node.run(node.world.snic.ensureFunction(diskSpec()));
    await node.run(node.world.snic.releaseFunction(first.id));
    const second = await node.run(node.world.snic.ensureFunction(diskSpec(otherVolume)));
    expect(second.vuid).not.toBe(first.vuid);
    expect((await node.run(node.world.snic.ensureFunction(diskSpec()))).vuid).toBe(first.vuid);
  });

  it('keeps the address of a function that is plugged once more', async () => {
    await node.prepare();
    await node.run(node.world.power.powerOn());
    const before = await functions();
    await node.plug();
    expect(await functions()).toEqual(before);
    expect(before.every((each) => each.bdf !== null)).toBe(true);
  });

  it('boots the chosen disk, not the one that is marked; only one that is plugged and served', async () => {
    await node.prepare();
    const chosen = (await node.run(node.world.snic.ensureFunction(diskSpec(otherVolume)))).id;
    const attachment = { functionId: chosen, volumeId: otherVolume, readOnly: false };
    const power = async () => {
      await node.run(node.world.power.powerOff('hard', 0));
      await node.run(node.world.power.powerOn());
      return node.world.host.row().bootedFrom;
    };
    await node.run(node.world.power.setNextBoot({ functionId: chosen, bdf: null }));
    await node.run(node.world.storage.attach({ ...attachment, connection: direct, mark: markOf('disk', otherVolume) }));
    expect(await power()).toBe(node.disk);
    await node.run(node.world.snic.plugFunction(chosen));
    expect(await power()).toBe(chosen);
    await node.run(node.world.power.setNextBoot({ functionId: node.disk, bdf: null }));
    expect(await power()).toBe(node.disk);
    node.world.restartPeer('storage');
    expect(await power()).toBeNull();
  });

  it('goes on shutting down, and finding functions, while nobody looks and over a reopened world', async () => {
    const store = memoryWorldStore();
    node = simNode({ store });
    await node.prepare();
    node.world.faults.order({ port: 'snic', method: '*', kind: 'not-enumerated' });
    await node.run(node.world.power.powerOn());
    node = simNode({ store });
    expect((await functions()).map((each) => each.bdfState)).toEqual(['assigned', 'assigned']);
    node.world.faults.order({ port: 'power', method: '*', kind: 'ignores-soft-off', ms: 5000 });
    await rejection(node.run(node.world.power.powerOff('soft', 10)), 'timeout');
    expect(node.world.host.row()).toMatchObject({ power: 'on', shuttingDown: true });
    node = simNode({ store });
    expect(node.world.host.row()).toMatchObject({ power: 'off', shuttingDown: false });
  });

  it('is switched by its user and by hand without a word to anyone', async () => {
    node.world.host.powerOnByHand();
    expect(await node.run(node.world.power.getPower())).toBe('on');
    node.world.host.shutDownByUser();
    expect(await node.run(node.world.power.getPower())).toBe('off');
  });

  it('power on of a host that is on does not ask what is served', async () => {
    await node.prepare();
    await node.run(node.world.power.powerOn());
    await node.run(node.world.storage.detach(node.disk));
    node.world.clearViolations();
    await node.run(node.world.power.powerOn());
    expect(rules()).toEqual([]);
  });

  it('an answer is lost with its peer, the effect is not', async () => {
    node.world.hooks.afterEffect = () => node.world.restartPeer('snic');
    await rejection(node.run(node.world.snic.ensureFunction(nicSpec())), 'unavailable');
    expect(node.world.state.functions.size).toBe(1);
  });
});

describe('the simulated storage', () => {
  let node: SimNode;
  beforeEach(() => {
    node = simNode();
  });
  const { run, world } = { run: <R>(call: Promise<R>) => node.run(call), world: () => node.world };
  const rules = () => checkWorld(node.world).map((each) => each.rule);

  it('does not reach a volume of the service that is not exported', async () => {
    await run(world().snic.ensureFunction(diskSpec()));
    const connection = await run(world().volumes.connect({ volumeId, node: nodeId, instance, readOnly: false }));
    await run(world().volumes.disconnect(volumeId, instance));
    const spec = { functionId: node.disk, volumeId, connection, readOnly: false, mark: markOf('boot', volumeId) };
    await rejection(run(world().storage.attach(spec)), 'unavailable');
    await rejection(run(world().storage.attach({ ...spec, functionId: nicSpec().id })), 'not_found');
  });

  it('lets another read a volume that one writes, and reaches others’ volumes by their own protocol', async () => {
    await node.attach();
    const other = (await run(world().snic.ensureFunction(diskSpec(otherVolume)))).id;
    const mark = markOf('disk', otherVolume);
    const spec = { functionId: other, connection: direct, mark };
    await run(world().storage.attach({ ...spec, volumeId, readOnly: true }));
    await run(world().storage.detach(other));
    const attached = await run(world().storage.attach({ ...spec, volumeId: otherVolume, readOnly: false }));
    expect(attached.sizeBytes).toBe(4096);
    expect(rules()).toEqual([]);
  });

  it('makes no volume that its image does not fit', async () => {
    const spec = { id: otherVolume, image: 'demo', sizeBytes: 1, node: nodeId, instance };
    expect((await rejection(run(world().volumes.ensureVolumeFromImage(spec)), 'invalid')).field).toBe('sizeBytes');
  });

  it('what a restart lost and is made otherwise is no remake', async () => {
    await node.prepare();
    await run(world().power.powerOn());
    world().restartPeer('storage');
    world().restartPeer('ovs', { losePorts: true });
    const [nic] = (await run(world().snic.listFunctions())).filter((each) => each.id === node.nic);
    const bind = { portId, functionId: node.nic, representor: nic?.representor ?? '', mark: markOf('nic', portId) };
    await run(world().network.bind({ ...bind, mac: '02:00:00:00:00:99' as never }));
    const attach = { functionId: node.disk, volumeId, connection: direct, mark: markOf('boot', volumeId) };
    await run(world().storage.attach({ ...attach, readOnly: true }));
    expect(rules()).toEqual(['bound-while-host-on', 'attached-while-host-on']);
  });

  it('what was lost is forgotten with its function', async () => {
    await node.attach();
    await node.bind();
    world().restartPeer('storage');
    world().restartPeer('ovs', { losePorts: true });
    expect(world().state.lost.size).toBe(2);
    await run(world().snic.releaseFunction(node.disk));
    await run(world().snic.releaseFunction(node.nic));
    expect(world().state.lost.size).toBe(0);
  });
});

describe('a world in a file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sim-edges-'));
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('keeps what a refused call recorded, erases what was released, and writes all of a change or nothing', async () => {
    const file = join(directory, 'world.db');
    const node = simNode({ store: sqliteWorldStore(file) });
    await node.prepare();
    await rejection(node.run(node.world.snic.releaseFunction(node.nic)), 'bad_state');
    await node.run(node.world.snic.unplugFunction(node.disk, { deadlineMs: 1000 }));
    await node.run(node.world.storage.detach(node.disk));
    await node.run(node.world.snic.releaseFunction(node.disk));
    node.world.close();

    const store = sqliteWorldStore(file);
    const half = (): void => {
      store.put('function', 'half', {});
      throw new Error('half way');
    };
    expect(() => store.atomically(half)).toThrow('half way');
    const again = simNode({ store }).world;
    expect(again.state.functions.rows().map((row) => row.id)).toEqual([node.nic]);
    expect(again.violations.map((each) => each.rule)).toEqual(['released-while-plugged']);
    again.close();
  });
});
