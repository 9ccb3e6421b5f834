/** Servers that move between nodes: resized, migrated cold, confirmed and taken back, also between a machine of its own and a VM. */
import { beforeAll, describe, expect, it } from 'vitest';
import { NAMES } from '../../tools/openstack/bootstrap.ts';
import { until } from '../support/wait.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';
import type { Server } from './support/servers.ts';
import { expectWholeAt } from './support/whole.ts';

/** Where servers go. */
const other = 'vm-2';
const here = NODES.vm.hostname;
const metal = NODES.bm.hostname;

/** A server's life here is several moves, and each takes as long as a build and a delete. */
const movesMs = 360_000;

describe.skipIf(PEER !== 'ours')('a server that moves', { timeout: movesMs }, () => {
  // what is left on the other node is looked for, too
  const live = liveServers({ spares: [{ hostname: other, type: 'VM' }] });
  const { cloud, servers } = live;
  const flavors = new Map<string, string>();

  beforeAll(async () => {
    const answer = await cloud.admin.call<{ flavors: readonly { id: string; name: string }[] }>(
      'compute',
      'GET',
      '/flavors',
    );
    for (const { id, name } of answer.flavors) flavors.set(name, id);
  });

  async function active(): Promise<string> {
    const id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
    return id;
  }

  const hostOf = (server: Server): string | null => server['OS-EXT-SRV-ATTR:host'];
  const migrate = (id: string, host: string) => servers.act(id, { migrate: { host } });
  const resize = (id: string, flavor: string) => servers.act(id, { resize: { flavorRef: flavors.get(flavor) } });
  const confirm = (id: string) => servers.act(id, { confirmResize: null });
  const revert = (id: string) => servers.act(id, { revertResize: null });

  const expectAt = (id: string, host: string): Promise<unknown> => expectWholeAt(live, id, host);

  /** Its migrations, newest first. */
  async function migrations(id: string): Promise<readonly string[]> {
    const path = `/os-migrations?instance_uuid=${id}`;
    const { migrations: all } = await cloud.admin.call<{
      migrations: readonly { status: string; source_compute: string; dest_compute: string | null }[];
    }>('compute', 'GET', path);
    return all.map(({ status, source_compute: from, dest_compute: to }) => `${status} ${from} ${to}`);
  }

  it('is migrated to another node, confirmed, and migrated back and taken back', async () => {
    const id = await active();
    await migrate(id, other);
    expect((await servers.until(id, 'VERIFY_RESIZE'))['OS-EXT-STS:vm_state']).toBe('resized');
    await expectAt(id, other);
    await confirm(id);
    await servers.until(id, 'ACTIVE');
    await until('it is confirmed', async () => (await migrations(id))[0] === `confirmed ${here} ${other}`);
    await migrate(id, here);
    await servers.until(id, 'VERIFY_RESIZE');
    await expectAt(id, here);
    await revert(id);
    await servers.until(id, 'ACTIVE');
    await expectAt(id, other);
    expect((await migrations(id))[0]).toBe(`reverted ${other} ${here}`);
    const events = (await servers.actions(id)).flatMap(({ events: each }) => each.map(({ result }) => result));
    expect(new Set(events)).toEqual(new Set(['Success']));
  });

  it('is off after it where it was off before', async () => {
    const id = await active();
    await servers.act(id, { 'os-stop': null });
    await servers.until(id, 'SHUTOFF');
    await migrate(id, other);
    expect(await servers.until(id, 'VERIFY_RESIZE')).toMatchObject({ 'OS-EXT-STS:power_state': 4 });
    await confirm(id);
    expect(hostOf(await servers.until(id, 'SHUTOFF'))).toBe(other);
  });

  it('becomes a machine of its own, and a VM again, and is taken back from both', async () => {
    const id = await active();
    await resize(id, NAMES.flavors.metal);
    await servers.until(id, 'VERIFY_RESIZE');
    await expectAt(id, metal);
    await revert(id);
    await servers.until(id, 'ACTIVE');
    await expectAt(id, here);
    await resize(id, NAMES.flavors.metal);
    await servers.until(id, 'VERIFY_RESIZE');
    await confirm(id);
    await servers.until(id, 'ACTIVE');
    await resize(id, NAMES.flavors.tiny);
    await servers.until(id, 'VERIFY_RESIZE');
    await revert(id);
    await servers.until(id, 'ACTIVE');
    await expectAt(id, metal);
    await resize(id, NAMES.flavors.small);
    const vm = hostOf(await servers.until(id, 'VERIFY_RESIZE'));
    expect([here, other]).toContain(vm);
    await confirm(id);
    await servers.until(id, 'ACTIVE');
    await expectAt(id, vm ?? '');
  });

  it('is deleted in between', async () => {
    const id = await active();
    await migrate(id, other);
    await servers.until(id, 'VERIFY_RESIZE');
    await servers.remove(id);
    await servers.untilGone(id);
  });

  it('arrives when a daemon is killed on its way, and comes back so', async () => {
    const id = await active();
    const atTask = (task: string): Promise<true> =>
      until(task, async () => (await servers.show(id))['OS-EXT-STS:task_state'] === task, 60_000);
    await migrate(id, other);
    await atTask('resize_migrating');
    await cloud.node('vm').kill();
    await cloud.node('vm').start();
    await servers.until(id, 'VERIFY_RESIZE');
    await expectAt(id, other);
    await revert(id);
    await atTask('resize_reverting');
    await cloud.node(other).kill();
    await cloud.node(other).start();
    await servers.until(id, 'ACTIVE');
    await expectAt(id, here);
  });

  it('is not moved while it runs: it stays as it is', async () => {
    const id = await active();
    await servers.act(id, { 'os-migrateLive': { host: null, block_migration: 'auto' } });
    await until('nova has given up', async () => (await migrations(id))[0]?.startsWith('error') === true);
    await servers.until(id, 'ACTIVE');
    await expectAt(id, here);
  });
});
