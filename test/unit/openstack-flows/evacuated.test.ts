import { afterEach, describe, expect, it } from 'vitest';
import type { NovaMigration } from '../../../platform-adapter/openstack/wire/migrations.ts';
import { buildArguments, createFlowScene, type FlowScene, host, server } from '../../support/openstack/flow-scene.ts';
import { hooksOf, registrationOf } from '../../support/openstack/scene-hooks.ts';

const migration = { id: 7, uuid: 'eeeeeeee-0000-4000-8000-000000000007', instance_uuid: server };

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

async function recover(made: FlowScene, status: string): Promise<void> {
  await hooksOf(made).recover(registrationOf([{ ...migration, status }]), new AbortController().signal);
}

/** A node that starts with an instance that nova has evacuated, or begun to; `now`: where nova has the server. */
async function start(status: string, now: string | null): Promise<FlowScene> {
  const made = createFlowScene({
    devices: [],
    instance: { host: now, node: now, vm_state: 'active', task_state: null },
  });
  scene = made;
  made.compute.instances.set(server, 'active');
  made.nova.migrations.set(migration.id, { ...migration, status, source_compute: host });
  if (now === null) made.nova.instance = null;
  // the old place and the new one
  made.cloud.held.set(server, { [host]: { VCPU: 1 }, other: { VCPU: 1 } });
  // registering may fail after it, and is done again: with what nova says by then
  for (let time = 0; time < 2; time += 1) {
    const open = made.nova.migrations.get(migration.id)?.status === status;
    const registration = registrationOf(open ? [{ ...migration, status }] : []);
    await hooksOf(made).recover(registration, new AbortController().signal);
  }
  await made.quiet();
  return made;
}

describe('a node that starts after its servers were evacuated', () => {
  it.each(['accepted', 'pre-migrating', 'done'])('has them no more (%s), and its place is free', async (status) => {
    const { compute, cloud, nova, flows } = await start(status, status === 'done' ? 'other' : host);
    expect(compute.instances.get(server)).toBe('deleted');
    expect(cloud.held.get(server)).toEqual({ other: { VCPU: 1 } });
    expect(nova.migrations.get(migration.id)?.status).toBe('completed');
    expect(nova.events).toEqual([]);
    expect(nova.saves).toEqual([]);
    expect(flows.list(10)).toHaveLength(1);
  });

  it('removes one that was deleted since, too', async () => {
    const { compute, cloud, nova } = await start('done', null);
    expect(compute.instances.get(server)).toBe('deleted');
    expect(cloud.held.get(server)).toEqual({ [host]: { VCPU: 1 }, other: { VCPU: 1 } });
    expect(nova.migrations.get(migration.id)?.status).toBe('completed');
  });

  it('leaves one alone that has come back another way', async () => {
    const { compute, cloud, nova } = await start('done', host);
    expect(compute.instances.get(server)).toBe('active');
    expect(cloud.held.get(server)).toHaveProperty(host);
    expect(nova.migrations.get(migration.id)?.status).toBe('completed');
  });

  it.each(['rebuild_spawning', null])(
    'takes nothing from the other host, wherever a build was killed (task there: %s)',
    async (task) => {
      for (let at = 0, ended = false; !ended; at += 1) {
        const made = createFlowScene();
        scene = made;
        const died = made.dieAt(at, at % 2 === 0).then(() => true);
        const over = made
          .cast('build_and_run_instance', buildArguments(made))
          .then(() => made.quiet())
          .then(() => false);
        ended = !(await Promise.race([died, over]));
        const there = { host: 'other', node: 'other', vm_state: 'active', task_state: task };
        made.nova.instance = { ...made.nova.instance, ...there };
        made.nova.migrations.set(migration.id, { ...migration, status: 'done', source_compute: host });
        made.cloud.held.set(server, { [host]: { VCPU: 1 }, other: { VCPU: 1 } });
        const theirs = [...made.cloud.ports.keys(), ...made.cloud.volumes.keys(), ...made.cloud.attachments.keys()];
        const saves = made.nova.saves.length;

        await made.nextLife({ idle: true });
        await recover(made, 'done');
        made.flows.start();
        await made.quiet();

        const { cloud, compute, nova } = made;
        const has = [...cloud.ports.keys(), ...cloud.volumes.keys(), ...cloud.attachments.keys()];
        expect(has, `killed at write ${at}`).toEqual(theirs);
        expect(['deleted', undefined], `killed at write ${at}`).toContain(compute.instances.get(server));
        expect(nova.saves.slice(saves), `killed at write ${at}`).toEqual([]);
        expect(nova.instance).toMatchObject(there);
        expect(nova.migrations.get(migration.id)?.status).toBe('completed');
        await made.close();
      }
    },
  );
});

describe('what a node does of its own', () => {
  it('waits for its next time while anything is under way for the server', async () => {
    const made = createFlowScene({ instance: { host } });
    scene = made;
    await made.cast('build_and_run_instance', buildArguments(made));
    const { signal } = new AbortController();
    const hooks = hooksOf(made);
    await hooks.healInfoCache(server, signal);
    await hooks.confirmMoves([{ ...migration, status: 'finished' } as unknown as NovaMigration], signal);
    expect(made.flows.list(10).map(({ kind }) => kind)).toEqual(['build_and_run_instance']);
    await made.quiet();
    await hooks.healInfoCache(server, signal);
    await made.quiet();
    expect(made.flows.list(10).map(({ kind }) => kind)).toContain('network_changed');
  });
});
