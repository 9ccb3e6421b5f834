import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../core/units.ts';
import {
  buildArguments,
  createFlowScene,
  type FlowScene,
  host,
  imageDevice,
  leftovers,
  server,
} from '../support/openstack/flow-scene.ts';

/** A server that boots from a volume of the user's and has a port of the user's besides one that is made. */
function bootFromVolume(): { scene: FlowScene; keep: readonly string[]; args: JsonObject } {
  const scene = createFlowScene({ devices: [] });
  const port = scene.cloud.addPort();
  const volume = scene.cloud.addVolume({ status: 'reserved' });
  const attachment = scene.cloud.addAttachment(volume.id, server);
  scene.nova.devices.set(1, {
    ...imageDevice,
    source_type: 'volume',
    destination_type: 'volume',
    image_id: null,
    volume_id: volume.id,
    attachment_id: attachment.id,
    delete_on_termination: false,
  });
  scene.cloud.allocations.add(server);
  return { scene, keep: [port.id, volume.id], args: buildArguments(scene, {}, [port.id]) };
}

/** A server whose disk is made from an image first. */
function bootFromImage(): ReturnType<typeof bootFromVolume> {
  const scene = createFlowScene();
  scene.cloud.allocations.add(server);
  return { scene, keep: [], args: buildArguments(scene) };
}

/** How many writes an undisturbed build makes. */
async function writesOf(make: typeof bootFromVolume): Promise<number> {
  const { scene, args } = make();
  await scene.cast('build_and_run_instance', args, 'build');
  await scene.quiet();
  expect(scene.nova.instance?.vm_state).toBe('active');
  const writes = scene.writes();
  await scene.close();
  return writes;
}

/** Kills the scene at a write of a cast, and gives it its next life. The broker gives the cast again where the first write died, since it was not acknowledged. */
async function kill(scene: FlowScene, at: number, applied: boolean, cast: () => Promise<unknown>): Promise<void> {
  const died = scene.dieAt(scene.writes() + at, applied);
  void cast();
  await died;
  await scene.nextLife();
  if (at === 0) await cast();
  await scene.quiet();
}

async function terminate(scene: FlowScene, name = 'terminate'): Promise<void> {
  if (scene.nova.instance) scene.nova.instance.task_state = 'deleting';
  await scene.cast('terminate_instance', {}, name);
  await scene.quiet();
}

const variants = [
  ['a volume', bootFromVolume],
  ['an image', bootFromImage],
] as const;

describe.each(variants)('a build from %s', (_, make) => {
  it('ends well or in error, and leaves nothing after a delete, killed at any write', async () => {
    const writes = await writesOf(make);
    expect(writes).toBeGreaterThan(8);
    const ends = new Map<string, number>();
    for (let at = 0; at < writes; at += 1) {
      for (const applied of [true, false]) {
        const { scene, keep, args } = make();
        const where = `killed at write ${at}, ${applied ? 'applied' : 'lost'}`;
        await kill(scene, at, applied, () => scene.cast('build_and_run_instance', args, 'build'));
        const { vm_state: vmState, task_state: taskState } = scene.nova.instance ?? {};
        expect(taskState, where).toBeNull();
        ends.set(String(vmState), (ends.get(String(vmState)) ?? 0) + 1);
        if (vmState === 'active') {
          expect(scene.compute.instances.get(server), where).toBe('active');
          expect(scene.nova.instance?.host, where).toBe(host);
          expect(scene.cloud.attachments.size, where).toBe(1);
        } else {
          // the user's token is gone, and the volume was not asked for before
          expect(make, where).toBe(bootFromImage);
          expect(vmState, where).toBe('error');
          expect(scene.nova.faults.length, where).toBeGreaterThan(0);
          expect(scene.nova.instance?.host, where).toBeNull();
          expect(leftovers(scene, keep), where).toEqual([]);
        }
        await terminate(scene);
        expect(scene.nova.instance, where).toBeNull();
        expect(leftovers(scene, keep), where).toEqual([]);
        await scene.close();
      }
    }
    if (make === bootFromVolume) expect(ends).toEqual(new Map([['active', 2 * writes]]));
    else expect(new Set(ends.keys())).toEqual(new Set(['active', 'error']));
  }, 120_000);

  it('is overtaken by a delete at any write, and leaves nothing', async () => {
    const writes = await writesOf(make);
    for (let at = 1; at < writes; at += 1) {
      const { scene, keep, args } = make();
      const deleted = Promise.withResolvers<void>();
      let asked = false;
      scene.onWrite = (count) => {
        if (asked || count < at) return;
        asked = true;
        if (scene.nova.instance) scene.nova.instance.task_state = 'deleting';
        scene.cast('terminate_instance', {}, 'terminate').then(() => deleted.resolve(), deleted.reject);
      };
      await scene.cast('build_and_run_instance', args, 'build');
      await deleted.promise;
      await scene.quiet();
      const where = `delete at write ${at}`;
      expect(scene.nova.instance, where).toBeNull();
      expect(leftovers(scene, keep), where).toEqual([]);
      expect(scene.nova.faults, where).toEqual([]);
      await scene.close();
    }
  }, 120_000);
});

describe('a build of an earlier version', () => {
  it('goes on with the stages of that version', async () => {
    const { scene, args } = bootFromVolume();
    const died = scene.dieAt(scene.writes() + 1, false);
    void scene.cast('build_and_run_instance', args, 'build');
    await died;
    const journal = new Database(scene.file);
    journal.exec('UPDATE flows SET plan_version = 1');
    journal.close();
    await scene.nextLife();
    await scene.quiet();
    expect(scene.nova.saves.slice(1, 3).map(({ host, task_state }) => [host, task_state])).toEqual([
      ['dpu1', undefined],
      [undefined, 'networking'],
    ]);
    expect(scene.nova.instance).toMatchObject({ vm_state: 'active', host: 'dpu1' });
    await scene.close();
  });
});

describe('a delete', () => {
  it('ends after it was killed at any write', async () => {
    const { scene: first, args: firstArgs } = bootFromImage();
    await first.cast('build_and_run_instance', firstArgs, 'build');
    await first.quiet();
    const before = first.writes();
    await terminate(first);
    const writes = first.writes() - before;
    await first.close();
    expect(writes).toBeGreaterThan(6);
    for (let at = 0; at < writes; at += 1) {
      for (const applied of [true, false]) {
        const { scene, keep, args } = bootFromImage();
        await scene.cast('build_and_run_instance', args, 'build');
        await scene.quiet();
        if (scene.nova.instance) scene.nova.instance.task_state = 'deleting';
        const where = `killed at write ${at}, ${applied ? 'applied' : 'lost'}`;
        await kill(scene, at, applied, () => scene.cast('terminate_instance', {}, 'terminate'));
        expect(scene.nova.instance, where).toBeNull();
        expect(leftovers(scene, keep), where).toEqual([]);
        await scene.close();
      }
    }
  }, 120_000);
});
