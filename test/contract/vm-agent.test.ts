import { describe, expect, it } from 'vitest';
import type { HostAgent } from '../../core/ports/host-agent.ts';
import { checkWorld } from '../../drivers/sim/invariants.ts';
import { createSimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { hostAgentContract } from './host-agent.suite.ts';
import { diskSpec, flavor, instance, macOf, markOf, nicSpec, node, portId, rejection, volumeId } from './samples.ts';

/** A host of machines in a world of its own, with a boot disk and a NIC that it can see. */
async function machineHost() {
  const world = createSimWorld({
    clock: systemClock,
    random: seededRandom('agent'),
    store: memoryWorldStore(),
    options: { volumes: { [volumeId]: { size_bytes: 2 ** 30, bootable: true } } },
    timing: { enumerationMs: 0 },
    hypervisor: true,
  });
  const nic = await world.snic.ensureFunction({ ...nicSpec(), type: 'VF' });
  const disk = await world.snic.ensureFunction({ ...diskSpec(), type: 'VF' });
  const mac = macOf(portId);
  const bound = { portId, functionId: nic.id, representor: nic.representor ?? '', mac };
  await world.network.bind({ ...bound, mark: markOf('nic', portId) });
  const connection = await world.volumes.connect({ volumeId, node, instance, readOnly: false });
  const served = { functionId: disk.id, volumeId, connection, readOnly: false };
  await world.storage.attach({ ...served, mark: markOf('boot', volumeId) });
  await world.snic.plugFunction(nic.id);
  await world.snic.plugFunction(disk.id);
  const functions = new Map((await world.snic.listFunctions()).map((each) => [each.id, each.bdf ?? '']));
  const boot = {
    functionId: disk.id,
    kind: 'disk',
    bdf: functions.get(disk.id) ?? '',
    mac: null,
    bootOrder: 1,
  } as const;
  const net = { functionId: nic.id, kind: 'nic', bdf: functions.get(nic.id) ?? '', mac, bootOrder: null } as const;
  return { world, boot, nic: net };
}

hostAgentContract('sim', async () => {
  const { world, boot, nic } = await machineHost();
  return {
    agent: world.agent,
    boot,
    nic,
    ignoreShutdown: () => void world.faults.order({ port: 'agent', method: '*', kind: 'ignores-soft-off' }),
    holdDevice: () => void world.faults.order({ port: 'agent', method: '*', kind: 'not-released', times: 1 }),
    withoutGuestAgent: () => void world.faults.order({ port: 'agent', method: '*', kind: 'no-guest-agent' }),
    restartHost: async () => world.host.restart(),
    plantForeign: () => world.plantForeign({ kind: 'machine', instance }),
    close: async () => world.close(),
  };
});

describe('the simulated host of machines', () => {
  const spec = (devices: readonly object[]) =>
    ({ instance, node, name: 'i1', flavor, firmware: 'uefi', devices }) as Parameters<HostAgent['defineDomain']>[0];

  it('does not part with a function that a machine has, and records who tried', async () => {
    const { world, boot, nic } = await machineHost();
    await world.agent.defineDomain(spec([boot, nic]));
    await world.agent.startDomain(instance);
    expect(checkWorld(world)).toEqual([]);
    await rejection(world.snic.unplugFunction(nic.functionId, { deadlineMs: 10 }), 'busy');
    expect(checkWorld(world).map((each) => each.rule)).toEqual(['taken-from-machine']);
    world.clearViolations();
    await world.agent.destroyDomain(instance);
    await world.snic.unplugFunction(nic.functionId, { deadlineMs: 10 });
    await rejection(world.agent.startDomain(instance), 'hardware');
    expect(checkWorld(world)).toEqual([]);
    world.close();
  });

  it('starts a machine from its first disk, and is away while its host is off', async () => {
    const { world, boot } = await machineHost();
    await world.agent.defineDomain(spec([boot]));
    await world.agent.startDomain(instance);
    expect(world.state.machines.get(instance)).toMatchObject({ bootedFrom: boot.functionId, boots: 1 });
    world.host.shutDownByUser();
    await rejection(world.agent.listDomains(), 'unavailable');
    world.host.powerOnByHand();
    expect(await world.agent.listDomains()).toMatchObject([{ instance, state: 'off' }]);
    world.close();
  });
});
