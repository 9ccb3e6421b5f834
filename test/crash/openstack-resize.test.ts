import { describe, expect, it } from 'vitest';
import { server } from '../support/openstack/flow-scene.ts';
import { createTwoHosts, type Host, migration, type TwoHosts } from '../support/openstack/two-hosts.ts';

/** A move from its beginning to its end, and on which of the hosts the server is then. */
const moves = {
  'a resize that is confirmed': { end: 'confirm', on: 'dest', sameHost: false },
  'a resize that is reverted': { end: 'revert', on: 'source', sameHost: false },
  'a resize on the same host that is reverted': { end: 'revert', on: 'source', sameHost: true },
} as const;

async function run(scene: TwoHosts, end: 'confirm' | 'revert'): Promise<void> {
  await scene.resize();
  expect(scene.nova.instance?.vm_state).toBe('resized');
  await scene[end]();
}

function expectWhole(scene: TwoHosts, host: Host, where: string): void {
  const { nova, cloud, source, dest, port } = scene;
  expect(nova.faults, where).toEqual([]);
  expect(nova.instance, where).toMatchObject({ vm_state: 'active', task_state: null, host: host.name });
  for (const each of new Set([source, dest])) {
    expect(each.compute.instances.get(server) ?? 'deleted', `${where}: ${each.name}`).toBe(
      each === host ? 'active' : 'deleted',
    );
    expect(each.open(), where).toEqual([]);
  }
  expect(cloud.allocations, where).toEqual(new Set([server]));
  expect(cloud.ports.get(port)?.bindingHost, where).toBe(host.name);
  expect([...cloud.attachments.values()], where).toMatchObject([
    { status: 'attached', connectionInfo: { data: { for_host: host.name } } },
  ]);
  expect(['confirmed', 'reverted'], where).toContain(nova.migrations.get(migration.id)?.status);
}

describe.each(Object.entries(moves))('%s', (_, { end, on, sameHost }) => {
  it.each(['source', 'dest'] as const)(
    'ends as it would, with its %s killed at any write',
    async (victim) => {
      const undisturbed = createTwoHosts({ sameHost });
      await run(undisturbed, end);
      expectWhole(undisturbed, undisturbed[on], 'undisturbed');
      const writes = undisturbed[victim].writes();
      await undisturbed.close();
      expect(writes).toBeGreaterThan(20);
      if (sameHost && victim === 'dest') return; // the same one again
      for (let at = 0; at < writes; at += 1) {
        for (const applied of [true, false]) {
          const scene = createTwoHosts({ sameHost });
          scene[victim].dieAt(at, applied);
          await run(scene, end);
          expectWhole(scene, scene[on], `killed at write ${at}, ${applied ? 'applied' : 'lost'}`);
          await scene.close();
        }
      }
    },
    240_000,
  );
});
