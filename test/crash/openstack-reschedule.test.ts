/** A build that goes back to nova-conductor, killed at any write: the conductor gets it once, since twice would be two builds. */
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
import { createHurriedClock } from '../support/openstack/hurried-clock.ts';

const refused = { code: 'hardware', message: 'the host does not start', retry: 'operator' } as const;
const place = { next: { VCPU: 1 } };

/** What the conductor does with a server that it got back, and when. */
interface Conductor {
  readonly when: 'build_instances' | 'ping';
  act(scene: FlowScene): void;
}

const conductors: Readonly<Record<string, Conductor>> = {
  'takes a place on the next host at once': {
    when: 'build_instances',
    act: ({ cloud }) => void cloud.held.set(server, place),
  },
  'was busy, and takes the place later': { when: 'ping', act: ({ cloud }) => void cloud.held.set(server, place) },
  'has no other host': {
    when: 'build_instances',
    act: ({ nova }) => void Object.assign(nova.instance ?? {}, { vm_state: 'error', task_state: null }),
  },
};

/** A server with a volume of its user's, on a node that fails to make it. */
function make({ when, act }: Conductor): { scene: FlowScene; args: JsonObject; volume: string } {
  const scene = createFlowScene({ devices: [], clock: createHurriedClock() });
  const { id: volume } = scene.cloud.addVolume({ status: 'reserved' });
  const { id: attachment } = scene.cloud.addAttachment(volume, server);
  scene.nova.devices.set(1, {
    ...imageDevice,
    source_type: 'volume',
    destination_type: 'volume',
    image_id: null,
    volume_id: volume,
    attachment_id: attachment,
    delete_on_termination: false,
  });
  scene.cloud.allocations.add(server);
  scene.cloud.held.set(server, { [host]: { VCPU: 1 } });
  scene.compute.failNext.set('build_and_run_instance', refused);
  const { onCall } = scene.nova;
  let got = false;
  scene.nova.onCall = async (name) => {
    await onCall(name);
    if (name === 'conductor build_instances') got = true;
    if (got && (name === `conductor ${when}` || name === when)) act(scene);
  };
  const more = { filter_properties: { retry: { num_attempts: 1, hosts: [] } }, host_list: ['next'] };
  return { scene, volume, args: buildArguments(scene, more) };
}

describe.each(Object.entries(conductors))('a conductor that %s', (_, conductor) => {
  it('gets a build back once, with the node killed at any write', async () => {
    const { scene: first, args: firstArgs } = make(conductor);
    await first.cast('build_and_run_instance', firstArgs, 'build');
    await first.quiet();
    const writes = first.writes();
    const undisturbed = first.nova.instance;
    expect(undisturbed).toMatchObject({ host: null });
    await first.close();
    expect(writes).toBeGreaterThan(15);
    // the way back begins with the failure, some writes before the end
    for (let at = writes - 20; at < writes; at += 1) {
      for (const applied of [true, false]) {
        const { scene, args, volume } = make(conductor);
        const where = `killed at write ${at}, ${applied ? 'applied' : 'lost'}`;
        const died = scene.dieAt(at, applied);
        void scene.cast('build_and_run_instance', args, 'build');
        await died;
        await scene.nextLife();
        await scene.quiet();
        expect(scene.store.unended(), where).toEqual([]);
        expect(
          scene.nova.casts.map(({ method }) => method),
          where,
        ).toEqual(['build_instances']);
        expect(scene.nova.instance, where).toMatchObject({
          host: null,
          vm_state: undisturbed?.vm_state,
          task_state: undisturbed?.task_state,
        });
        expect(leftovers(scene, [volume]), where).toEqual([]);
        await scene.close();
      }
    }
  }, 120_000);
});

it('is handed back after all where the node died before it was', async () => {
  const { scene, args, volume } = make({ when: 'ping', act: () => {} });
  const died = Promise.withResolvers<void>();
  const { onCall } = scene.cloud;
  let calls = 0;
  scene.cloud.onCall = async (name) => {
    await onCall(name);
    if (name !== 'placement.deleteAllocations') return;
    calls += 1;
    if (calls > 1) return;
    died.resolve();
    await new Promise(() => {});
  };
  void scene.cast('build_and_run_instance', args, 'build');
  await died.promise;
  expect(scene.nova.instance).toMatchObject({ host: null, task_state: 'scheduling' });
  await scene.nextLife();
  await scene.quiet();
  expect(scene.nova.casts.map(({ method }) => method)).toEqual(['build_instances']);
  expect(leftovers(scene, [volume])).toEqual([]);
  await scene.close();
});
