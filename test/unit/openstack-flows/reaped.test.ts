import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/units.ts';
import { createFlowScene, type FlowScene, server } from '../../support/openstack/flow-scene.ts';
import { hooksOf, registrationOf } from '../../support/openstack/scene-hooks.ts';

let scene: FlowScene | undefined;

afterEach(async () => {
  await scene?.close();
});

/** A node that has an instance which nova says this of; null: nova never knew it. */
function nodeWith(instance: JsonObject | null) {
  const made = createFlowScene({ devices: [], instance: { host: null, ...instance } });
  scene = made;
  if (instance === null) made.nova.instance = null;
  made.compute.instances.set(server, 'active');
  const hooks = hooksOf(made);
  const { signal } = new AbortController();
  return {
    state: () => made.compute.instances.get(server),
    start: () => hooks.recover(registrationOf(), signal),
    async look() {
      await hooks.tasks?.find(({ name }) => name === 'reap')?.run(signal);
      await made.quiet();
    },
  };
}

describe('a server that nova deleted without its node', () => {
  it('is gone before the node takes requests', async () => {
    const node = nodeWith({ deleted: true });
    await node.start();
    expect(node.state()).toBe('deleted');
  });

  it('is found later, too', async () => {
    const node = nodeWith({ deleted: true });
    await node.look();
    expect(node.state()).toBe('deleted');
  });

  it.each([
    ['has on another host', { deleted: false, host: 'other' }],
    ['never knew', null],
  ] as const)('is not what nova %s', async (_, instance) => {
    const node = nodeWith(instance);
    await node.start();
    await node.look();
    expect(node.state()).toBe('active');
  });
});
