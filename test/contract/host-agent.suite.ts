import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import type { Domain, DomainDevice, DomainSpec, HostAgent } from '../../core/ports/host-agent.ts';
import { openScreen, wireOf } from '../support/rfb-client.ts';
import { flavor, instance, node, otherInstance, rejection } from './samples.ts';

/** An agent to test, on a host that is on and has a boot disk, a disk and a NIC to pass through. */
export interface AgentHarness {
  readonly agent: HostAgent;
  readonly boot: DomainDevice;
  readonly nic: DomainDevice;
  /** The guest takes no notice of a shutdown from now on. */
  ignoreShutdown(): void;
  /** The guest holds on to what is to be detached, once. */
  holdDevice(): void;
  /** The guest has no agent from now on. */
  withoutGuestAgent(): void;
  /** The host restarts by itself. */
  restartHost(): Promise<void>;
  /** A machine that somebody else made. */
  plantForeign(): void;
  close(): Promise<void>;
}

const patience = { deadlineMs: 2000 };

/** What every HostAgent does. */
export function hostAgentContract(name: string, makeHarness: () => Promise<AgentHarness>): void {
  describe(`HostAgent: ${name}`, () => {
    let harness: AgentHarness;
    let agent: HostAgent;
    beforeEach(async () => {
      harness = await makeHarness();
      agent = harness.agent;
    });
    afterEach(() => harness.close());

    const spec = (change: Partial<DomainSpec> = {}): DomainSpec => ({
      instance,
      node,
      name: 'i1',
      flavor,
      firmware: 'uefi',
      devices: [harness.boot],
      ...change,
    });
    const domain = async (): Promise<Domain | undefined> =>
      (await agent.listDomains()).find((each) => each.instance === instance);
    const state = async (): Promise<string | undefined> => (await domain())?.state;
    const twice = async (call: () => Promise<void>): Promise<void> => {
      await call();
      await call();
    };

    it('tells what machines can be given of the host', async () => {
      const { cpus, memoryMib, numa } = await agent.inventory();
      expect(cpus).toBeGreaterThan(0);
      expect(numa.reduce((sum, each) => sum + each.memoryMib, 0)).toBeLessThanOrEqual(memoryMib);
    });

    it('defines, starts, shuts down, starts, destroys and forgets a machine; each twice is as once', async () => {
      await twice(() => agent.defineDomain(spec()));
      expect(await domain()).toEqual({ ...spec(), state: 'off' });
      await twice(() => agent.startDomain(instance));
      expect(await state()).toBe('running');
      await twice(() => agent.defineDomain(spec()));
      await twice(() => agent.shutdownDomain(instance, patience));
      expect(await state()).toBe('off');
      await agent.startDomain(instance);
      await rejection(agent.undefineDomain(instance), 'bad_state');
      await twice(() => agent.destroyDomain(instance));
      expect(await state()).toBe('off');
      await twice(() => agent.undefineDomain(instance));
      expect(await agent.listDomains()).toEqual([]);
    });

    it('defines anew what is off, and refuses that for what is not', async () => {
      await agent.defineDomain(spec());
      const larger = spec({ flavor: { name: '8c16g', vcpus: 8, memory_mib: 16_384 } });
      await agent.startDomain(instance);
      await rejection(agent.defineDomain(larger), 'conflict');
      await agent.pauseDomain(instance);
      await rejection(agent.defineDomain(larger), 'conflict');
      await agent.destroyDomain(instance);
      await agent.defineDomain(larger);
      expect(await domain()).toEqual({ ...larger, state: 'off' });
      await rejection(agent.defineDomain(spec({ flavor: { ...flavor, memory_mib: 2 ** 40 } })), 'exhausted');
    });

    it('pauses and suspends, and goes on', async () => {
      await agent.defineDomain(spec());
      await rejection(agent.pauseDomain(instance), 'bad_state');
      await rejection(agent.suspendDomain(instance), 'bad_state');
      await agent.startDomain(instance);
      await twice(() => agent.pauseDomain(instance));
      expect(await state()).toBe('paused');
      await rejection(agent.startDomain(instance), 'bad_state');
      await rejection(agent.shutdownDomain(instance, patience), 'bad_state');
      await twice(() => agent.unpauseDomain(instance));
      expect(await state()).toBe('running');
      await twice(() => agent.suspendDomain(instance));
      expect(await state()).toBe('suspended');
      await rejection(agent.startDomain(instance), 'bad_state');
      await twice(() => agent.resumeDomain(instance));
      expect(await state()).toBe('running');
      await agent.suspendDomain(instance);
      await agent.destroyDomain(instance);
      await rejection(agent.resumeDomain(instance), 'bad_state');
    });

    it('times out where the guest takes no notice of a shutdown', async () => {
      await agent.defineDomain(spec());
      await agent.startDomain(instance);
      harness.ignoreShutdown();
      await rejection(agent.shutdownDomain(instance, { deadlineMs: 50 }), 'timeout');
      expect(await state()).toBe('running');
    });

    it('gives a machine a device and takes it away, whether it runs or not', async () => {
      await agent.defineDomain(spec());
      for (const runs of [false, true]) {
        if (runs) await agent.startDomain(instance);
        await twice(() => agent.attachDevice(instance, harness.nic));
        expect((await domain())?.devices).toEqual([harness.boot, harness.nic]);
        await twice(() => agent.detachDevice(instance, harness.nic.functionId, patience));
        expect((await domain())?.devices).toEqual([harness.boot]);
      }
      await agent.attachDevice(instance, harness.nic);
      harness.holdDevice();
      await rejection(agent.detachDevice(instance, harness.nic.functionId, { deadlineMs: 50 }), 'busy');
      await agent.detachDevice(instance, harness.nic.functionId, patience);
      await rejection(agent.attachDevice(instance, { ...harness.nic, bdf: '0000:ff:1f.7' }), 'hardware');
      await agent.detachDevice(otherInstance, harness.nic.functionId, patience);
    });

    it('gives a function to one machine alone', async () => {
      await agent.defineDomain(spec());
      await agent.startDomain(instance);
      await agent.defineDomain(spec({ instance: otherInstance }));
      await rejection(agent.startDomain(otherInstance), 'conflict');
    });

    const password = { user: 'root', hash: '$6$salt$hash' };

    it('sets the password through the guest’s agent', async () => {
      await agent.defineDomain(spec());
      await rejection(agent.setAdminPassword(instance, password), 'bad_state');
      await agent.startDomain(instance);
      await twice(() => agent.setAdminPassword(instance, password));
      harness.withoutGuestAgent();
      await rejection(agent.setAdminPassword(instance, password), 'unsupported');
    });

    it('tells what a machine uses', async () => {
      await agent.defineDomain(spec({ devices: [harness.boot, harness.nic] }));
      expect(await agent.diagnostics(instance)).toMatchObject({ state: 'off', uptimeMs: 0, cpuTimeMs: 0 });
      await agent.startDomain(instance);
      const used = await agent.diagnostics(instance);
      expect(used).toMatchObject({ state: 'running', memoryMib: flavor.memory_mib });
      expect(used.disks.map((each) => each.functionId)).toEqual([harness.boot.functionId]);
      expect(used.nics.map((each) => each.mac)).toEqual([harness.nic.mac]);
    });

    it('shows a console as long as the machine is defined', async () => {
      const stop = new AbortController();
      await rejection(agent.openConsole(instance, stop.signal), 'not_found');
      await agent.defineDomain(spec());
      await agent.startDomain(instance);
      const stream = await agent.openConsole(instance, stop.signal);
      const [shown] = (await once(stream, 'data')) as [Buffer];
      expect(shown.length).toBeGreaterThan(0);
      stream.destroy();
    });

    it('shows a screen while the machine runs, or has none', async () => {
      await rejection(agent.vncAddress(instance), 'not_found');
      await agent.defineDomain(spec());
      const off = await agent.vncAddress(instance).catch((error: unknown) => error);
      if (hasCode(off, 'unsupported')) return;
      expect(off).toMatchObject({ code: 'bad_state' });
      await agent.startDomain(instance);
      const socket = connect(await agent.vncAddress(instance));
      socket.on('error', () => {}); // its end is what is waited for
      const screen = await openScreen(wireOf(socket));
      const picture = await screen.picture();
      expect(picture.length).toBe(4 * screen.width * screen.height);
      expect(new Set(picture).size).toBeGreaterThan(1);
      const ended = once(socket, 'close');
      await agent.destroyDomain(instance);
      await ended;
      await rejection(agent.vncAddress(instance), 'bad_state');
    });

    it('keeps definitions and saved memory over a restart of the host, and nothing that ran', async () => {
      await agent.defineDomain(spec());
      await agent.startDomain(instance);
      await harness.restartHost();
      expect(await domain()).toEqual({ ...spec(), state: 'off' });
      await agent.startDomain(instance);
      await agent.suspendDomain(instance);
      await harness.restartHost();
      await agent.resumeDomain(instance);
      expect(await state()).toBe('running');
    });

    it('does not touch another’s machine, and takes one that is not there for gone', async () => {
      await agent.destroyDomain(instance);
      await agent.undefineDomain(instance);
      await rejection(agent.startDomain(instance), 'not_found');
      await rejection(agent.diagnostics(instance), 'not_found');
      harness.plantForeign();
      expect((await domain())?.node).toBe(null);
      await rejection(agent.destroyDomain(instance), 'denied');
      await rejection(agent.undefineDomain(instance), 'denied');
      await rejection(agent.defineDomain(spec()), 'denied');
    });
  });
}
