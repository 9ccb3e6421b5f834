/** A node that leaves its platform, stays out over restarts, and joins again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { type SimNode, startSimNode } from '../support/sim-node.ts';

const caller = { by: 'test' };
const request = { name: 'one', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };
let dir: string;
let world: SimWorld;
let node: SimNode | undefined;
let told: string[] = [];

/** A platform that notes what it hears. */
function platform(service: ComputeService): PlatformAdapter {
  let on = false;
  return {
    name: 'noting',
    async start() {
      on = true;
      told.push('start');
    },
    async stop() {
      if (on) told.push('stop');
      on = false;
    },
    async flush() {
      const { ready, not_ready_reasons: reasons } = service.nodeStatus();
      told.push(`report ${ready} ${reasons.map(({ id }) => id).join()}`);
    },
    connected: () => on,
  };
}

async function start(): Promise<SimNode> {
  node = await startSimNode({ world, dir, adapters: (service) => [platform(service)] });
  return node;
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'membership-'));
  world = createSimWorld({ clock: systemClock, random: systemRandom, store: memoryWorldStore(), options: {} });
  told = [];
});
afterEach(async () => {
  await node?.stop();
  await rm(dir, { recursive: true, force: true });
});

it('is told once more, stays out over a restart, and comes back', async () => {
  const first = await start();
  expect(first.service.membership()).toMatchObject({ member: true });
  expect(await first.service.setMembership({ member: false, reason: 'sold' }, caller)).toMatchObject({
    member: false,
    reason: 'sold',
  });
  await first.service.setMembership({ member: false }, caller); // twice is once
  expect(first.service.membership()).toMatchObject({ reason: 'sold' });
  expect(told).toEqual(['start', 'report false leaving', 'stop']);
  await first.stop();
  const second = await start();
  expect(told).toHaveLength(3);
  expect(second.service.nodeStatus().not_ready_reasons).toMatchObject([{ id: 'leaving' }]);
  await expect(second.service.submit('build_and_run_instance', request, caller)).rejects.toMatchObject({
    code: 'unavailable',
  });
  await second.service.setMembership({ member: true }, caller);
  expect(told).toEqual(['start', 'report false leaving', 'stop', 'start']);
  expect(second.service.nodeStatus().ready).toBe(true);
  expect(second.service.listAudit(10).map(({ action }) => action)).toContain('node_leave');
});

it('does not leave instances behind unless told to', async () => {
  const { service } = await start();
  const { id, instance } = await service.submit('build_and_run_instance', request, caller);
  await expect(service.setMembership({ member: false }, caller)).rejects.toMatchObject({
    code: 'bad_state',
    details: { operations: [id] },
  });
  await service.waitForEnd(id);
  await expect(service.setMembership({ member: false }, caller)).rejects.toMatchObject({
    code: 'bad_state',
    details: { instances: [instance] },
  });
  expect(service.nodeStatus().ready).toBe(true);
  await service.setMembership({ member: false, force: true }, caller);
  expect(service.getInstance(instance).state).toBe('active');
  expect(world.host.row().power).toBe('on');
});
