import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import { asId, type FunctionId, type Mac, type PortId, type VolumeId } from '../../core/units.ts';
import { diskSpec, markOf, nicSpec, otherInstance, portId, rejection, volumeId } from './samples.ts';

/** A card to test, with its host off and no function of ours. What is optional is what not every card can be made to do. */
export interface SnicHarness {
  readonly snic: SnicController;
  readonly host?: { on(): Promise<void>; off(): Promise<void> };
  /** An address follows from the function's place, and is known before the host is on. */
  readonly fixedBdf?: true;
  /** The host does not let go of its devices from now on. */
  holdDevices?(): void | Promise<void>;
  /** Makes a function that is not ours, and says its id. */
  plantForeign?(): FunctionId | Promise<FunctionId>;
  /** Opens the controller anew, as after a restart of its daemon. */
  reopen?(): Promise<SnicController>;
  close(): Promise<void>;
}

const bdf = /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const noId = 'nic-00000000-0000-8000-8000-000000000000' as FunctionId;
const unplug = { deadlineMs: 1000 };

/** What every SnicController does. */
export function snicControllerContract(name: string, makeHarness: () => Promise<SnicHarness>): void {
  describe(`SnicController: ${name}`, () => {
    let harness: SnicHarness;
    let snic: SnicController;
    beforeEach(async () => {
      harness = await makeHarness();
      snic = harness.snic;
    });
    afterEach(() => harness.close());
    const find = async (id: FunctionId) => (await snic.listFunctions()).find((each) => each.id === id);

    /** Asks until the host found it; the daemon does it the same way. */
    const enumerated = async (id: FunctionId): Promise<string> => {
      for (;;) {
        const address = (await find(id))?.bdf;
        if (address) return address;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };

    it('describes the card, and counts what is free', async () => {
      const before = await snic.describe();
      expect(before.model).not.toBe('');
      expect(before.free).toBeLessThanOrEqual(before.capacity);
      await snic.ensureFunction(nicSpec());
      expect(await snic.describe()).toEqual({ ...before, free: before.free - 1 });
      await snic.releaseFunction(nicSpec().id);
      expect(await snic.describe()).toEqual(before);
    });

    it('makes a network function unplugged, with its representor there to be bound', async () => {
      const made = await snic.ensureFunction(nicSpec());
      expect(made).toMatchObject({ ...nicSpec(), plugged: false, bdf: null });
      expect(made.representor).toMatch(/./);
      expect(await find(made.id)).toEqual(made);
    });

    it('makes a storage function without a MAC and a representor', async () => {
      const made = await snic.ensureFunction(diskSpec());
      expect(made).toMatchObject({ ...diskSpec(), plugged: false, representor: null, mac: null });
      await rejection(snic.ensureFunction({ ...diskSpec(), id: noId, mac: '02:00:00:00:00:01' as Mac }), 'invalid');
      expect(await find(noId)).toBeUndefined();
    });

    it('chooses a MAC where none is asked for, and keeps it', async () => {
      const made = await snic.ensureFunction({ ...nicSpec(), mac: null });
      expect(made.mac).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
      expect((await snic.ensureFunction({ ...nicSpec(), mac: null })).mac).toBe(made.mac);
    });

    it('makes the same function once, and gives two functions two representors', async () => {
      const first = await snic.ensureFunction(nicSpec());
      expect(await snic.ensureFunction(nicSpec())).toEqual(first);
      const others = asId<PortId>('66666666-6666-4666-8666-666666666666');
      const second = await snic.ensureFunction(nicSpec(others));
      expect(second.representor).not.toBe(first.representor);
      expect(await snic.listFunctions()).toHaveLength(2);
    });

    it.each([
      ['mac', { mac: '02:00:00:00:00:99' as Mac }],
      ['type', { type: 'VF' as const }],
      ['mark', { mark: markOf('nic', portId, otherInstance) }],
    ])('refuses the same id with another %s, says the difference, and changes nothing', async (field, other) => {
      const made = await snic.ensureFunction(nicSpec());
      const error = await rejection(snic.ensureFunction({ ...nicSpec(), ...other }), 'conflict');
      expect(Object.keys(error.details ?? {})).toEqual([field]);
      expect(error.details).toEqual({
        [field]: [made[field as keyof typeof made], Object.values(other)[0]],
      });
      expect(await find(made.id)).toEqual(made);
    });

    it('refuses one more function than the card has', async () => {
      const { free } = await snic.describe();
      const fill = async (index: number) =>
        snic.ensureFunction(diskSpec(asId<VolumeId>(`${String(index).padStart(8, '0')}-0000-4000-8000-000000000000`)));
      for (let index = 0; index < free; index += 1) await fill(index);
      await rejection(fill(free), 'exhausted');
      await fill(0);
    });

    it('plugs, unplugs and releases; each twice is as once', async () => {
      const { id } = await snic.ensureFunction(nicSpec());
      const plugged = await snic.plugFunction(id);
      expect(plugged.plugged).toBe(true);
      expect(await snic.plugFunction(id)).toEqual(plugged);
      expect(await snic.ensureFunction(nicSpec())).toEqual(plugged);
      await snic.unplugFunction(id, unplug);
      await snic.unplugFunction(id, unplug);
      expect((await find(id))?.plugged).toBe(false);
      await snic.releaseFunction(id);
      await snic.releaseFunction(id);
      expect(await find(id)).toBeUndefined();
    });

    it('does not release what is plugged', async () => {
      const { id } = await snic.ensureFunction(nicSpec());
      await snic.plugFunction(id);
      await rejection(snic.releaseFunction(id), 'bad_state');
      expect((await find(id))?.plugged).toBe(true);
    });

    it('knows no function that was never made: plug fails, unplug and release are fine', async () => {
      await rejection(snic.plugFunction(noId), 'not_found');
      await snic.unplugFunction(noId, unplug);
      await snic.releaseFunction(noId);
      expect(await snic.listFunctions()).toEqual([]);
    });

    it('gives the same representor to the same id again', async () => {
      const first = await snic.ensureFunction(nicSpec());
      await snic.ensureFunction(diskSpec());
      await snic.releaseFunction(first.id);
      expect((await snic.ensureFunction(nicSpec())).representor).toBe(first.representor);
    });

    it('rejects with the reason of a signal that is aborted, and leaves nothing', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(snic.ensureFunction(nicSpec(), signal)).rejects.toBe(reason);
      await expect(snic.listFunctions(signal)).rejects.toBe(reason);
      await expect(snic.describe(signal)).rejects.toBe(reason);
      expect(await snic.listFunctions()).toEqual([]);
      const { id } = await snic.ensureFunction(nicSpec());
      await expect(snic.plugFunction(id, signal)).rejects.toBe(reason);
      expect((await find(id))?.plugged).toBe(false);
      await snic.plugFunction(id);
      await expect(snic.unplugFunction(id, unplug, signal)).rejects.toBe(reason);
      expect((await find(id))?.plugged).toBe(true);
    });

    it('is given an address when the host is powered on, and keeps it over a power cycle', async ({ skip }) => {
      if (!harness.host) return skip('this card has no host to switch');
      const { id } = await snic.ensureFunction(diskSpec());
      const before = await snic.plugFunction(id);
      if (harness.fixedBdf) expect(before).toMatchObject({ bdf: expect.stringMatching(bdf), bdfState: 'assigned' });
      else expect(before).toMatchObject({ bdf: null, bdfState: 'pending' });
      await harness.host.on();
      const address = await enumerated(id);
      expect(address).toMatch(bdf);
      if (harness.fixedBdf) expect(address).toBe(before.bdf);
      expect((await find(id))?.bdfState).toBe('assigned');
      await harness.host.off();
      await harness.host.on();
      expect(await enumerated(id)).toBe(address);
    });

    it('is given an address by a running host, the same after unplug and plug', async ({ skip }) => {
      if (!harness.host) return skip('this card has no host to switch');
      await harness.host.on();
      const { id } = await snic.ensureFunction(diskSpec(volumeId));
      await snic.plugFunction(id);
      const address = await enumerated(id);
      await snic.unplugFunction(id, unplug);
      expect((await find(id))?.bdf).toBeNull();
      await snic.plugFunction(id);
      expect(await enumerated(id)).toBe(address);
    });

    it('is busy while a running host holds the device, and free once it is off', async ({ skip }) => {
      if (!harness.host || !harness.holdDevices) return skip('this host always lets go');
      await harness.host.on();
      const { id } = await snic.ensureFunction(nicSpec());
      await snic.plugFunction(id);
      await harness.holdDevices();
      await rejection(snic.unplugFunction(id, { deadlineMs: 5 }), 'busy');
      expect((await find(id))?.plugged).toBe(true);
      await harness.host.off();
      await snic.unplugFunction(id, { deadlineMs: 5 });
      expect((await find(id))?.plugged).toBe(false);
    });

    it('gives up waiting for the host when aborted', async ({ skip }) => {
      if (!harness.host || !harness.holdDevices) return skip('this host always lets go');
      await harness.host.on();
      const { id } = await snic.ensureFunction(nicSpec());
      await snic.plugFunction(id);
      await harness.holdDevices();
      const abort = new AbortController();
      const waiting = snic.unplugFunction(id, { deadlineMs: 3_600_000 }, abort.signal);
      const reason = new Error('enough');
      setImmediate(() => abort.abort(reason));
      await expect(waiting).rejects.toBe(reason);
      expect((await find(id))?.plugged).toBe(true);
    });

    it('lists what is not ours without a mark, and does not touch it', async ({ skip }) => {
      if (!harness.plantForeign) return skip('nobody else can make functions here');
      const id = await harness.plantForeign();
      const before = await find(id);
      expect(before?.mark).toBeNull();
      await rejection(snic.plugFunction(id), 'denied');
      await rejection(snic.unplugFunction(id, unplug), 'denied');
      await rejection(snic.releaseFunction(id), 'denied');
      await rejection(snic.ensureFunction({ ...diskSpec(), id }), 'conflict');
      expect(await find(id)).toEqual(before);
    });

    it('has everything as it was after a restart', async ({ skip }) => {
      if (!harness.reopen) return skip('this controller can not be reopened here');
      await snic.ensureFunction(nicSpec());
      await snic.plugFunction((await snic.ensureFunction(diskSpec())).id);
      const before = await snic.listFunctions();
      expect(await (await harness.reopen()).listFunctions()).toEqual(before);
    });
  });
}
