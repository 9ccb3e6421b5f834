/** An instance that is gone is made once more only where a request says that it is another one. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { asId, type InstanceId } from '../../core/units.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type SimNode, startSimNode } from '../support/sim-node.ts';

const by = { by: 'test' };
const uuid = asId<InstanceId>('c0ffee00-0000-4000-8000-000000000001');

let world: SimWorld;
let node: SimNode;
beforeEach(async () => {
  world = createSimWorld({
    clock: systemClock,
    random: seededRandom('build-anew'),
    store: memoryWorldStore(),
    options: {},
    timing: { enumerationMs: 1 },
  });
  node = await startSimNode({ world });
});
afterEach(async () => {
  await node.stop();
  world.close();
});

const build = (request?: string): Promise<Operation> =>
  node.service
    .submit(
      'build_and_run_instance',
      { uuid, name: 'again', flavor: '4c8g', image: 'demo', ...(request === undefined ? {} : { request_id: request }) },
      by,
    )
    .then(({ id }) => node.service.waitForEnd(id));
const destroy = (): Promise<Operation> =>
  node.service.submit('destroy_instance', { uuid }, by).then(({ id }) => node.service.waitForEnd(id));
const state = (): string => node.service.getInstance(uuid).state;

it('takes a late copy of a build for what it is, and another request for another build', async () => {
  const first = await build('first');
  await destroy();
  expect(await build()).toMatchObject({ id: first.id });
  expect(await build('first')).toMatchObject({ id: first.id });
  expect(state()).toBe('deleted');

  const second = await build('second');
  expect(second).toMatchObject({ state: 'succeeded', error: null });
  expect(second.id).not.toBe(first.id);
  expect(state()).toBe('active');
  expect(await build('second')).toMatchObject({ id: second.id });

  await destroy();
  expect(state()).toBe('deleted');
  expect(await build('first')).toMatchObject({ id: first.id });
  expect(state()).toBe('deleted');
});
