/** What a node looks at itself for, and what it makes of that. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { createMetrics } from '../../kit/metrics.ts';
import { systemRandom } from '../../kit/random.ts';
import { clockProbe } from '../../soc-daemon/service/clock-sync.ts';
import { watchDisk } from '../../soc-daemon/service/disk.ts';
import { advice, checkIds, type Finding } from '../../soc-daemon/service/health.ts';
import { measure } from '../../soc-daemon/service/measure.ts';
import { type SimNode, type SimNodeOptions, startSimNode } from '../support/sim-node.ts';
import { until } from '../support/wait.ts';

let dir: string;
const nodes: SimNode[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'health-'));
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await rm(dir, { recursive: true, force: true });
});

/** A program that prints this and ends so. */
async function script(name: string, text: string, code = 0): Promise<readonly [string]> {
  const file = join(dir, name);
  await writeFile(file, `#!/bin/sh\ncat <<'END'\n${text}\nEND\nexit ${code}\n`);
  await chmod(file, 0o755);
  return [file];
}

describe('the clock', () => {
  // as chrony 4.3 prints them
  const zeroes = '0.000000000,0.000000000,0.000000000,0.000,0.000,0.000';
  const chronyOk = `7F7F0101,,5,1795271385.128095443,${zeroes},0.000000000,0.000000000,0.0,Normal`;
  const chronyNot = `00000000,,0,0.000000000,${zeroes},1.000000000,1.000000000,0.0,Not synchronised`;
  it.each([
    ['the kernel knows', 'yes', chronyNot, 'ok', undefined],
    ['chrony keeps it and the kernel was not told', 'no', chronyOk, 'ok', undefined],
    ['chrony has not found the time', 'no', chronyNot, 'fail', 'clock-unsynchronised'],
    ['the kernel says no and nobody else is there', 'no', null, 'fail', 'clock-unsynchronised'],
    ['nobody is there to tell', null, null, 'unknown', undefined],
  ] as const)('%s', async (_, kernel, chrony, state, id) => {
    const away: readonly [string] = [join(dir, 'not-there')];
    const probe = clockProbe(systemClock, {
      timedatectl: kernel === null ? away : await script('timedatectl', kernel),
      chronyc: chrony === null ? away : await script('chronyc', chrony),
      timesyncd: join(dir, 'synchronized'),
    });
    const finding = await probe();
    expect(finding).toMatchObject({ check: 'clock', state });
    expect(finding.id).toBe(id);
  });

  it('is known by the file of systemd-timesyncd', async () => {
    await writeFile(join(dir, 'synchronized'), '');
    const failing = await script('timedatectl', 'Failed to connect to bus', 1);
    const probe = clockProbe(systemClock, {
      timedatectl: failing,
      chronyc: failing,
      timesyncd: join(dir, 'synchronized'),
    });
    expect(await probe()).toMatchObject({ state: 'ok' });
  });
});

describe('the disk', () => {
  const limits = (lowMib: number, fullMib: number) => watchDisk({ directory: dir, lowMib, fullMib });
  it('is fine, low or full, and full it takes only what ends things', async () => {
    expect(await limits(0, 0).look()).toMatchObject({ check: 'disk', state: 'ok' });
    expect(await limits(1e12, 0).look()).toMatchObject({ state: 'warn', id: 'disk-low' });
    const full = limits(1e12, 1e12);
    expect(await full.look()).toMatchObject({ state: 'fail', id: 'disk-full' });
    await expect(full.admit('build')).rejects.toMatchObject({ code: 'exhausted' });
    await expect(full.admit('attach_volume')).rejects.toMatchObject({ code: 'exhausted' });
    await full.admit('destroy');
    await limits(1e12, 0).admit('build');
  });
  it('that is gone is not said to be full', async () => {
    const gone = watchDisk({ directory: join(dir, 'none'), lowMib: 1, fullMib: 1 });
    expect(await gone.look()).toMatchObject({ state: 'unknown' });
  });
});

describe('a node', () => {
  async function start(more: Partial<SimNodeOptions> = {}): Promise<{ node: SimNode; world: SimWorld }> {
    const world = createSimWorld({ clock: systemClock, random: systemRandom, store: memoryWorldStore(), options: {} });
    const node = await startSimNode({ world, ...more });
    nodes.push(node);
    return { node, world };
  }
  const stateOf = (node: SimNode, id: string) => node.service.health().checks.find((each) => each.id === id);

  it('tells of every check, and of each part that is away by its id', async () => {
    const { node, world } = await start();
    expect(node.service.health().checks.map(({ id }) => id)).toEqual(
      Object.keys(checkIds).filter((id) => id !== 'agent'),
    );
    expect(node.service.health().ready).toBe(true);
    for (const [peer, check] of [
      ['bmc', 'bmc'],
      ['snic', 'snic'],
      ['ovs', 'ovs'],
      ['storage', 'storage'],
      ['volume', 'volumes'],
    ] as const) {
      expect(stateOf(node, check)).toMatchObject({ state: 'ok', reason: null, todo: null });
      const back = world.stopPeer(peer);
      await node.daemon.reconcile();
      const id = `${check}-unreachable` as const;
      expect(stateOf(node, check)).toMatchObject({ state: 'fail', reason: id, todo: advice[id] });
      expect(node.service.nodeStatus().not_ready_reasons.map((each) => each.id)).toContain(id);
      back();
      await until(`${peer} is back`, async () => {
        await node.daemon.reconcile();
        return stateOf(node, check)?.state === 'ok';
      });
    }
  });

  it('warns, is not ready, and is fine again as a look says, and Prometheus sees it', async () => {
    let finding: Finding = { check: 'disk', state: 'warn', id: 'disk-low', found: '10 MiB are free' };
    const { node } = await start({ probes: [async () => finding] });
    expect(node.service.nodeStatus()).toMatchObject({
      ready: true,
      warnings: [{ id: 'disk-low', message: '10 MiB are free' }],
    });
    finding = { check: 'disk', state: 'fail', id: 'disk-full', found: '1 MiB are free' };
    await node.daemon.reconcile();
    expect(node.service.nodeStatus()).toMatchObject({ ready: false, warnings: [] });
    expect(stateOf(node, 'disk')).toMatchObject({ state: 'fail', reason: 'disk-full', found: '1 MiB are free' });
    const metrics = createMetrics({ process: false });
    const stop = measure({ daemon: node.daemon, store: node.store, metrics });
    const page = await metrics.render();
    stop();
    expect(page).toMatch(/dpu_health\{check="disk"\} 2/);
    expect(page).toMatch(/dpu_not_ready\{reason="disk-full"\} 1/);
    finding = { check: 'disk', state: 'ok', found: 'plenty' };
    await node.daemon.reconcile();
    expect(node.service.nodeStatus()).toMatchObject({ ready: true, warnings: [], not_ready_reasons: [] });
  });

  it.each([
    ['warn', true, 'warn'],
    ['require', false, 'fail'],
    ['ignore', true, 'ok'],
  ] as const)(
    'with restricted_host: %s and a host that may reconfigure the card',
    async (restrictedHost, ready, state) => {
      const world = createSimWorld({
        clock: systemClock,
        random: systemRandom,
        store: memoryWorldStore(),
        options: {},
      });
      const connect = world.connect.bind(world);
      const open: SimWorld = {
        ...world,
        connect: () => {
          const ports = connect();
          const describe = async (signal?: AbortSignal) => ({
            ...(await ports.snic.describe(signal)),
            hostRestricted: false,
          });
          return { ...ports, snic: { ...ports.snic, describe } };
        },
      };
      const { node } = await start({ world: open, restrictedHost });
      expect(node.service.nodeStatus().ready).toBe(ready);
      expect(stateOf(node, 'card-access')?.state).toBe(state);
    },
  );

  it('says who works on the host', async () => {
    const { node, world } = await start();
    expect(node.service.power()).toEqual({ state: 'off', instance: null, operation: null, owner: null });
    const request = { name: 'one', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };
    world.faults.order({ port: 'power', method: 'powerOn', kind: 'slow', ms: 60_000 });
    const { id, instance } = await node.service.submit('build_and_run_instance', request, { by: 'test' });
    await until('the power has an owner', async () => node.service.power().owner?.reason === 'switching the host on');
    expect(node.service.power()).toMatchObject({ instance, operation: id });
    await node.service.cancelOperation(id, { by: 'test' });
    await node.service.waitForEnd(id);
    expect(node.service.power()).toMatchObject({ instance: null, operation: null, owner: null });
  });
});
