import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkOwners, checkWorld } from '../../drivers/sim/invariants.ts';
import { sqliteWorldStore } from '../../drivers/sim/sqlite-world-store.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore, type WorldStore } from '../../drivers/sim/world-store.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { virtualClock } from '../support/virtual-clock.ts';
import { diskSpec, instance, macOf, markOf, nicSpec, node, portId, volumeId } from './samples.ts';

const folder = (): string => mkdtempSync(join(tmpdir(), 'sim-world-'));
let directory = '';
beforeEach(() => {
  directory = folder();
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const stores: Record<string, () => () => WorldStore> = {
  memory: () => {
    const store = memoryWorldStore();
    return () => store;
  },
  sqlite: () => () => sqliteWorldStore(join(directory, 'world.db')),
};

describe.each(Object.keys(stores))('the life of an instance in a world kept in %s', (kind) => {
  it('is built, survives a reopened world, is destroyed, and breaks no rule', async () => {
    const openStore = stores[kind]?.();
    if (!openStore) throw new Error('no such store');
    const clock = virtualClock();
    const open = (): SimWorld =>
      createSimWorld({ clock, random: seededRandom(1), store: openStore(), options: { latency_ms: 5 } });
    const world = open();
    const run = <Result>(promise: Promise<Result>): Promise<Result> => clock.drive(promise);

    const nic = await run(world.snic.ensureFunction(nicSpec()));
    const disk = await run(world.snic.ensureFunction(diskSpec()));
    await run(
      world.network.bind({
        portId,
        functionId: nic.id,
        representor: nic.representor ?? '',
        mac: macOf(portId),
        mark: markOf('nic', portId),
      }),
    );
    const request = { id: volumeId, image: 'demo', sizeBytes: 2 ** 31, node, instance };
    await run(world.volumes.ensureVolumeFromImage(request));
    const connection = await run(world.volumes.connect({ volumeId, node, instance, readOnly: false }));
    const attachment = { functionId: disk.id, volumeId, readOnly: false, mark: markOf('boot', volumeId) };
    await run(world.storage.attach({ ...attachment, connection }));
    await run(world.snic.plugFunction(nic.id));
    await run(world.snic.plugFunction(disk.id));
    await run(world.power.setNextBoot({ functionId: disk.id, bdf: null }));
    await run(world.power.powerOn());
    expect(world.host.row().bootedFrom).toBe(disk.id);
    expect(checkWorld(world)).toEqual([]);
    const before = await run(world.snic.listFunctions());
    expect(before.map((each) => each.bdfState)).toEqual(['assigned', 'assigned']);
    world.close();

    const again = open();
    expect(await run(again.snic.listFunctions())).toEqual(before);
    expect(await run(again.power.getPower())).toBe('on');
    await run(again.power.powerOff('soft', 1000));
    for (const id of [nic.id, disk.id]) await run(again.snic.unplugFunction(id, { deadlineMs: 1000 }));
    await run(again.network.unbind(portId));
    await run(again.storage.detach(disk.id));
    await run(again.volumes.disconnect(volumeId, instance));
    await run(again.volumes.deleteVolume(volumeId));
    for (const id of [nic.id, disk.id]) await run(again.snic.releaseFunction(id));
    expect(checkWorld(again)).toEqual([]);
    expect(checkOwners(again, new Set())).toEqual([]);
    again.close();
  });
});
