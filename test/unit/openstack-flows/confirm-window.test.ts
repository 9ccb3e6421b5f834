/** Moves that nobody confirms in time. */
import { afterEach, describe, expect, it } from 'vitest';
import { createTwoHosts, migration, type TwoHosts, type TwoHostsOptions } from '../../support/openstack/two-hosts.ts';

const scenes: TwoHosts[] = [];

async function moved(options?: TwoHostsOptions): Promise<TwoHosts> {
  const made = createTwoHosts(options);
  scenes.push(made);
  await made.resize();
  return made;
}

afterEach(async () => {
  for (const each of scenes.splice(0)) await each.close();
});

const statusOf = ({ nova }: TwoHosts) => nova.migrations.get(migration.id)?.status;
const confirmsOf = ({ nova }: TwoHosts) => nova.casts.filter(({ method }) => method === 'confirm_resize');

function expectConfirmed(one: TwoHosts): void {
  expect(statusOf(one)).toBe('confirmed');
  expect(one.nova.instance).toMatchObject({ vm_state: 'active', task_state: null, host: one.dest.name });
  expect(one.nova.instance?.old_flavor).toBeNull();
  expect([...one.cloud.allocations]).toHaveLength(1);
  expect(one.nova.actions).toEqual(['confirmResize']);
  for (const host of [one.source, one.dest]) expect(host.open()).toEqual([]);
}

describe('a move that nobody confirmed in time', () => {
  it.each([false, true])('is confirmed as a user would, on the same host: %s', async (sameHost) => {
    const one = await moved({ sameHost });
    await one.unconfirmed();
    expectConfirmed(one);
    expect(confirmsOf(one)).toMatchObject([
      {
        server: 'src',
        args: {
          instance: { 'nova_object.data': { vm_state: 'resized' } },
          migration: { 'nova_object.data': { id: migration.id, status: 'confirming' } },
        },
      },
    ]);
    await one.unconfirmed();
    expect(confirmsOf(one)).toHaveLength(1);
    expectConfirmed(one);
  });

  it('is confirmed once, wherever the daemon dies on the way', { timeout: 60_000 }, async () => {
    const whole = await moved();
    const before = whole.dest.writes();
    await whole.unconfirmed();
    const writes = whole.dest.writes() - before;
    expect(writes).toBeGreaterThan(4);
    for (let write = 0; write < writes; write += 1) {
      for (const applied of [false, true]) {
        const one = await moved();
        one.dest.dieAt(one.dest.writes() + write, applied);
        await one.unconfirmed();
        expectConfirmed(one);
      }
    }
  });

  it.each([
    ['is being taken back', { task_state: 'resize_reverting' }, {}],
    ['is being deleted', { task_state: 'deleting' }, {}],
    ['is finished at this moment', { task_state: 'resize_finish', vm_state: 'active' }, {}],
    ['was confirmed meanwhile', { vm_state: 'active' }, { status: 'confirmed' }],
  ])('is left alone where it %s', async (_, server, record) => {
    const one = await moved();
    Object.assign(one.nova.instance ?? {}, server);
    Object.assign(one.nova.migrations.get(migration.id) ?? {}, record);
    const saves = one.nova.saves.length;
    const status = statusOf(one);
    await one.unconfirmed();
    expect([statusOf(one), confirmsOf(one), one.nova.saves.length, one.nova.actions]).toEqual([status, [], saves, []]);
  });

  it.each([
    ['in error', { vm_state: 'error' }],
    ['in a state that no move leaves', { vm_state: 'active' }],
    ['gone', null],
  ])('is in error where the server is %s', async (_, server) => {
    const one = await moved();
    if (server === null) one.nova.instance = null;
    else Object.assign(one.nova.instance ?? {}, server);
    await one.unconfirmed();
    expect(statusOf(one)).toBe('error');
    expect(confirmsOf(one)).toEqual([]);
  });

  it('waits for a source that is down', async () => {
    const one = await moved();
    one.nova.seen.set('src', '2026-01-01T00:08:59Z');
    await one.unconfirmed();
    expect([statusOf(one), confirmsOf(one)]).toEqual(['finished', []]);
    one.nova.seen.set('src', '2026-01-01T00:09:01Z');
    await one.unconfirmed();
    expectConfirmed(one);
  });
});
