import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import type { PowerController } from '../../core/ports/power-controller.ts';
import { diskSpec, rejection } from './samples.ts';

/** A BMC to test, with its host off. */
export interface PowerHarness {
  readonly power: PowerController;
  /** The host takes no notice of a soft power off from now on. */
  ignoreSoftOff?(): void | Promise<void>;
  /** Resolves when a host that was switched on listens to a soft power off; at once where it always does. */
  booted?(): Promise<void>;
  reopen?(): Promise<PowerController>;
  close(): Promise<void>;
}

/** What every PowerController does. */
export function powerControllerContract(name: string, makeHarness: () => Promise<PowerHarness>): void {
  describe(`PowerController: ${name}`, () => {
    let harness: PowerHarness;
    let power: PowerController;
    beforeEach(async () => {
      harness = await makeHarness();
      power = harness.power;
    });
    afterEach(() => harness.close());

    it('tells the hardware, whether the host is on or off', async () => {
      const inventory = await power.inventory();
      expect(inventory.cpus).toBeGreaterThan(0);
      expect(inventory.memoryMib).toBeGreaterThan(0);
      await power.powerOn();
      expect(await power.inventory()).toEqual(inventory);
    });

    it.each(['soft', 'hard'] as const)('powers on, and off %s; each twice is as once', async (mode) => {
      expect(await power.getPower()).toBe('off');
      await power.powerOff(mode, 10_000);
      await power.powerOn();
      await power.powerOn();
      expect(await power.getPower()).toBe('on');
      await harness.booted?.();
      await power.powerOff(mode, 10_000);
      await power.powerOff(mode, 10_000);
      expect(await power.getPower()).toBe('off');
      await power.powerOn();
      expect(await power.getPower()).toBe('on');
    });

    it('sets what to boot next, or says that it can’t', async () => {
      const target = { functionId: diskSpec().id, bdf: null };
      try {
        await power.setNextBoot(target);
        await power.setNextBoot(target);
      } catch (error) {
        if (!hasCode(error, 'unsupported')) throw error;
      }
    });

    it('times out where the host takes no notice, which hard power off does not ask', async ({ skip }) => {
      if (!harness.ignoreSoftOff) return skip('this host always obeys');
      await power.powerOn();
      await harness.ignoreSoftOff();
      await rejection(power.powerOff('soft', 5), 'timeout');
      expect(await power.getPower()).toBe('on');
      await power.powerOff('hard', 5);
      expect(await power.getPower()).toBe('off');
    });

    it('gives up waiting for the host when aborted', async ({ skip }) => {
      if (!harness.ignoreSoftOff) return skip('this host always obeys');
      await power.powerOn();
      await harness.ignoreSoftOff();
      const abort = new AbortController();
      const waiting = power.powerOff('soft', 3_600_000, abort.signal);
      const reason = new Error('enough');
      setImmediate(() => abort.abort(reason));
      await expect(waiting).rejects.toBe(reason);
    });

    it('resets a host that is on, and no other', async () => {
      await rejection(power.reset(), 'bad_state');
      await power.powerOn();
      await power.reset();
      expect(await power.getPower()).toBe('on');
    });

    it('has one owner at a time, whose reason others see', async ({ skip }) => {
      if (!harness.ignoreSoftOff) return skip('this host always obeys');
      expect(power.owner()).toBeNull();
      await power.powerOn();
      await harness.ignoreSoftOff();
      const abort = new AbortController();
      const waiting = power.powerOff('soft', 3_600_000, abort.signal);
      const reason = power.owner()?.reason;
      expect(reason).toContain('shut down');
      const refused = await rejection(power.powerOff('hard', 5), 'busy');
      expect(refused.details).toMatchObject({ owner: reason });
      expect(await power.getPower()).toBe('on');
      abort.abort(new Error('enough'));
      await expect(waiting).rejects.toThrow('enough');
      expect(power.owner()).toBeNull();
      await power.powerOff('hard', 5);
      expect(await power.getPower()).toBe('off');
    });

    it('rejects with the reason of a signal that is aborted, and leaves everything as it was', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(power.getPower(signal)).rejects.toBe(reason);
      await expect(power.inventory(signal)).rejects.toBe(reason);
      await expect(power.powerOn(signal)).rejects.toBe(reason);
      await expect(power.setNextBoot({ functionId: diskSpec().id, bdf: null }, signal)).rejects.toBe(reason);
      expect(await power.getPower()).toBe('off');
      await power.powerOn();
      await expect(power.powerOff('hard', 5, signal)).rejects.toBe(reason);
      expect(await power.getPower()).toBe('on');
    });

    it('has the host as it was when the daemon comes back', async ({ skip }) => {
      if (!harness.reopen) return skip('this BMC can not be reopened here');
      await power.powerOn();
      expect(await (await harness.reopen()).getPower()).toBe('on');
    });
  });
}
