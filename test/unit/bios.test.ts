/** BIOS settings that a tenant may change, on a simulated host. */
import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { BiosSettings, HostBios } from '../../core/ports/host-bios.ts';
import { biosRow } from '../../drivers/sim/bios.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { hasName, hazardsOf } from '../../soc-daemon/service/bios-rules.ts';
import { type SimNode, type SimNodeOptions, startSimNode } from '../support/sim-node.ts';
import { until } from '../support/wait.ts';

const caller = { by: 'test' };
const request = { name: 'one', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };
const nodes: SimNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

const createWorld = () =>
  createSimWorld({ clock: systemClock, random: systemRandom, store: memoryWorldStore(), options: {} });

async function start(world: SimWorld, more: Partial<SimNodeOptions> = {}): Promise<SimNode> {
  const node = await startSimNode({ world, ...more });
  nodes.push(node);
  return node;
}

async function build(node: SimNode) {
  const { id } = await node.service.submit('build_and_run_instance', request, caller);
  return await node.service.waitForEnd(id);
}

async function destroy(node: SimNode, uuid: string) {
  const { id } = await node.service.submit('destroy_instance', { uuid }, caller);
  return await node.service.waitForEnd(id);
}

/** The host as it is, and as it will be. */
const settings = ({ state, host }: SimWorld) => {
  const { now, pending } = biosRow({ state, host: host as never });
  return { now, next: { ...now, ...pending } };
};

/** Somebody changes settings in the firmware's own menu: they are in force at once. */
function changeByHand(world: SimWorld, changed: BiosSettings): void {
  const { now } = settings(world);
  world.state.bios.set('bios', { now: { ...now, ...changed }, pending: {}, askedAtBoot: world.host.row().boots });
}

const warnings = (node: SimNode) => node.service.nodeStatus().warnings?.map(({ id }) => id);

describe('BIOS settings', () => {
  it('of a tenant go back at release, and are in force at the next start', async () => {
    const world = createWorld();
    const node = await start(world);
    expect(await node.service.bios()).toMatchObject({
      controlled: true,
      baseline: 'captured',
      settings: 5,
      unsafe: [],
    });
    const built = await build(node);
    expect(built.state).toBe('succeeded');
    changeByHand(world, { SlotPower: false, NumaNodes: 4 });
    expect((await node.service.bios()).differing.map(({ name }) => name)).toEqual(['SlotPower', 'NumaNodes']);
    const gone = await destroy(node, built.instance);
    expect(gone.state).toBe('succeeded');
    expect(settings(world)).toMatchObject({
      now: { SlotPower: false, NumaNodes: 4 },
      next: { SlotPower: true, NumaNodes: 1 },
    });
    const again = await build(node);
    expect(again.state).toBe('succeeded');
    expect(settings(world).now).toMatchObject({ SlotPower: true, NumaNodes: 1 });
  });

  it('that would keep the host from starting make the node not ready, and fail a build that comes before that is seen', async () => {
    const world = createWorld();
    const node = await start(world);
    changeByHand(world, { SriovEnabled: false });
    const failed = await build(node);
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'bad_state', step: 'host:bios-check' } });
    expect(failed.error?.message).toContain('SriovEnabled is false');
    expect(world.host.row().power).toBe('off');
    await destroy(node, failed.instance);
    await until('the node has noticed', async () => !node.service.nodeStatus().ready);
    expect(node.service.nodeStatus().not_ready_reasons).toMatchObject([{ id: 'bios-unsafe' }]);
    await expect(node.service.submit('build_and_run_instance', request, caller)).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect(await node.service.restoreBios(caller)).toMatchObject({ unsafe: [] });
    expect(node.service.nodeStatus().ready).toBe(true);
    expect((await build(node)).state).toBe('succeeded');
  });

  it('are set back later where the BMC was away at release', async () => {
    const world = createWorld();
    const node = await start(world, { deadlines: { bootDeviceMs: 2000 } });
    const built = await build(node);
    changeByHand(world, { OptionRoms: false });
    world.faults.order({ port: 'power', method: 'writeBios', kind: 'fail-once', code: 'unavailable' });
    expect((await destroy(node, built.instance)).state).toBe('succeeded');
    await until('they are set back', async () => {
      await node.daemon.reconcile();
      return settings(world).next.OptionRoms === true;
    });
    expect(node.service.nodeStatus()).toMatchObject({ ready: true, warnings: [] });
  });

  it('that were changed by an operator are shown, left alone, and taken over when asked', async () => {
    const world = createWorld();
    const node = await start(world);
    changeByHand(world, { NumaNodes: 2 });
    expect(await node.service.captureBios(caller)).toMatchObject({ differing: [] });
    const { instance } = await build(node);
    await expect(node.service.captureBios(caller)).rejects.toMatchObject({ code: 'bad_state' });
    await expect(node.service.restoreBios(caller)).rejects.toMatchObject({ code: 'bad_state' });
    await destroy(node, instance);
    expect(settings(world).next.NumaNodes).toBe(2);
  });

  it('are left alone with restore: false, and a warning tells', async () => {
    const world = createWorld();
    const node = await start(world, { biosPolicy: { restore: false } });
    const { instance } = await build(node);
    changeByHand(world, { NumaNodes: 2 });
    await destroy(node, instance);
    await until('the warning', async () => warnings(node)?.includes('bios-changed') ?? false);
    expect(settings(world).next.NumaNodes).toBe(2);
  });

  it('are as configured where a baseline is', async () => {
    const world = createWorld();
    const node = await start(world, { biosPolicy: { baseline: { NumaNodes: 8, NotThere: 1 } } });
    expect(warnings(node)).toEqual(['bios-changed']);
    const { instance } = await build(node);
    await destroy(node, instance);
    expect(settings(world).next).toMatchObject({ NumaNodes: 8, SlotPower: true });
    expect(settings(world).next).not.toHaveProperty('NotThere');
  });

  it('are not taken for the operator’s where an instance had the host before', async () => {
    const world = createWorld();
    const blind: HostBios = {
      read: async () => {
        throw new DpuError('unsupported', 'no such resource');
      },
      write: async () => undefined,
    };
    const first = await start(world, { bios: blind });
    const { instance } = await build(first);
    await first.stop();
    nodes.length = 0;
    changeByHand(world, { NumaNodes: 7 });
    const node = await start(world);
    await destroy(node, instance);
    await until('the warning', async () => warnings(node)?.includes('bios-uncontrolled') ?? false);
    expect(await node.service.bios()).toMatchObject({ baseline: 'none' });
  });

  it('that the BMC does not show are a warning, and nothing is refused', async () => {
    const node = await start(createWorld(), { bios: null });
    expect(warnings(node)).toEqual(['bios-uncontrolled']);
    expect(await node.service.bios()).toMatchObject({ controlled: false });
    const { state, instance } = await build(node);
    expect(state).toBe('succeeded');
    expect((await destroy(node, instance)).state).toBe('succeeded');
  });
});

describe('the table of what matters', () => {
  const reading = (next: BiosSettings) => ({ now: next, next, readOnly: new Set<string>() });
  it.each([
    ['Slot#', 'Slot3', true],
    ['Slot#', 'Slot3Bif', false],
    ['SR-IOVSupport*', 'SR-IOVSupport#0048', true],
    ['*SLOT*OPROM*', 'CPU1SLOT2PCI-E4.0X16OPROM#0021', true],
    ['a.b', 'axb', false],
  ])('%s names %s: %s', (pattern, name, is) => expect(hasName(pattern, name)).toBe(is));

  it.each<[string, BiosSettings]>([
    ['Dell', { SriovGlobalEnable: 'Disabled', Slot2: 'BootDriverDisabled', PowerCycleRequest: 'FullPowerCycle' }],
    ['HPE', { Sriov: 'Disabled', PciSlot1Enable: 'Disabled', PciSlot1OptionROM: 'Disabled' }],
    ['Lenovo', { DevicesandIOPorts_SRIOV: 'Disabled' }],
    ['Supermicro', { 'SR-IOVSupport#0048': 'Disabled', 'CPU1SLOT2PCI-E4.0X16OPROM#0021': 'Disabled' }],
  ])('knows the names of %s', (_, wrong) => {
    expect(hazardsOf(reading(wrong), null, {}).map(({ name }) => name)).toEqual(Object.keys(wrong));
    expect(hazardsOf(reading(wrong), wrong, {})).toEqual([]); // the operator wants it so
    const own = Object.fromEntries(Object.keys(wrong).map((name) => [name, []]));
    expect(hazardsOf(reading(wrong), null, own)).toEqual([]);
  });

  it('lets the operator’s own word go before the baseline', () => {
    const now = { Slot2: 'Disabled' };
    expect(hazardsOf(reading(now), now, { 'Slot#': ['Enabled'] })).toMatchObject([{ name: 'Slot2', next: 'Disabled' }]);
  });
});
