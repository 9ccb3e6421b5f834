import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AttachSpec, StorageTarget, VolumeConnection } from '../../core/ports/storage-target.ts';
import type { FunctionId, VolumeId } from '../../core/units.ts';
import { markOf, otherInstance, rejection } from './samples.ts';

/** A storage target to test, serving nothing of ours, two unplugged storage functions and two volumes that can be reached. */
export interface StorageHarness {
  readonly storage: StorageTarget;
  readonly functions: readonly [FunctionId, FunctionId];
  readonly volumes: readonly [ReachableVolume, ReachableVolume];
  /** Makes an attachment that is not ours, and says its function. */
  plantForeign?(): FunctionId | Promise<FunctionId>;
  /** Makes a volume larger, as its volume service would. */
  grow?(volume: VolumeId, sizeBytes: number): Promise<void>;
  reopen?(): Promise<StorageTarget>;
  close(): Promise<void>;
}

/** A volume and how to reach it. */
export interface ReachableVolume {
  readonly id: VolumeId;
  readonly sizeBytes: number;
  readonly connection: VolumeConnection;
}

/** What every StorageTarget does. */
export function storageTargetContract(name: string, makeHarness: () => Promise<StorageHarness>): void {
  describe(`StorageTarget: ${name}`, () => {
    let harness: StorageHarness;
    let storage: StorageTarget;
    let spec: AttachSpec;
    let second: AttachSpec;
    beforeEach(async () => {
      harness = await makeHarness();
      storage = harness.storage;
      const [volume, other] = harness.volumes;
      const of = (functionId: FunctionId, { id, connection }: ReachableVolume): AttachSpec => ({
        functionId,
        volumeId: id,
        connection,
        readOnly: false,
        mark: markOf('disk', id),
      });
      spec = of(harness.functions[0], volume);
      second = of(harness.functions[1], other);
    });
    afterEach(() => harness.close());

    it('serves a volume to a function once, with its size and mark', async () => {
      const attached = await storage.attach(spec);
      const { connection: _connection, ...rest } = spec;
      expect(attached).toEqual({ ...rest, sizeBytes: harness.volumes[0].sizeBytes, bdev: attached.bdev });
      expect(attached.bdev).toMatch(/./);
      expect(await storage.attach(spec)).toEqual(attached);
      expect(await storage.list()).toEqual([attached]);
    });

    it('serves two volumes by two block devices', async () => {
      const bdevs = [(await storage.attach(spec)).bdev, (await storage.attach(second)).bdev];
      expect(new Set(bdevs).size).toBe(2);
      expect((await storage.list()).map((each) => each.bdev).sort()).toEqual(bdevs.sort());
    });

    it('refuses another volume at the same function, says the difference, and changes nothing', async () => {
      const attached = await storage.attach(spec);
      const wanted = { ...second, functionId: spec.functionId, mark: spec.mark };
      const error = await rejection(storage.attach(wanted), 'conflict');
      expect(error.details).toEqual({ volumeId: [spec.volumeId, second.volumeId] });
      expect(await storage.list()).toEqual([attached]);
    });

    it.each([
      ['readOnly', { readOnly: true }, [false, true]],
      [
        'mark',
        { mark: markOf('disk', 'x', otherInstance) },
        [expect.anything(), expect.objectContaining({ instance: otherInstance })],
      ],
    ])('refuses the same attachment with another %s', async (field, other, values) => {
      const attached = await storage.attach(spec);
      const error = await rejection(storage.attach({ ...spec, ...other }), 'conflict');
      expect(error.details).toEqual({ [field]: values });
      expect(await storage.list()).toEqual([attached]);
    });

    it('refuses a second writer of a volume, and leaves nothing at its function', async () => {
      const attached = await storage.attach(spec);
      await rejection(storage.attach({ ...spec, functionId: second.functionId }), 'conflict');
      expect(await storage.list()).toEqual([attached]);
      await storage.detach(spec.functionId);
      expect((await storage.attach({ ...spec, functionId: second.functionId })).volumeId).toBe(spec.volumeId);
    });

    it('lets several write a volume when all of them say so', async () => {
      const shared = { ...spec, shared: true };
      await storage.attach(shared);
      await rejection(storage.attach({ ...spec, functionId: second.functionId }), 'conflict');
      await storage.attach({ ...shared, functionId: second.functionId });
      expect(await storage.list()).toHaveLength(2);
    });

    it('lets several read a volume', async () => {
      const reading = { ...spec, readOnly: true };
      await storage.attach(reading);
      await storage.attach({ ...reading, functionId: second.functionId });
      expect((await storage.list()).map((each) => each.readOnly)).toEqual([true, true]);
      await storage.detach(spec.functionId);
      expect((await storage.list()).map((each) => each.functionId)).toEqual([second.functionId]);
    });

    it('limits what is attached, and nothing else', async () => {
      await rejection(storage.setQos(spec.functionId, { iosPerSecond: 1000 }), 'not_found');
      const attached = await storage.attach({ ...spec, qos: { bytesPerSecond: 2 ** 21 } });
      await storage.setQos(spec.functionId, { iosPerSecond: 2000, bytesPerSecond: 2 ** 20 });
      await storage.setQos(spec.functionId, { iosPerSecond: 0, bytesPerSecond: 0 });
      expect(await storage.list()).toEqual([attached]);
    });

    it('shows a volume that has grown, and refuses a size that it has not', async ({ skip }) => {
      if (!harness.grow) return skip('volumes do not grow here');
      const sizeBytes = harness.volumes[0].sizeBytes * 2;
      await rejection(storage.resized(spec.functionId, sizeBytes), 'not_found');
      const attached = await storage.attach(spec);
      await rejection(storage.resized(spec.functionId, sizeBytes), 'bad_state');
      await harness.grow(spec.volumeId, sizeBytes);
      const grown = await storage.resized(spec.functionId, sizeBytes);
      expect(grown).toEqual({ ...attached, sizeBytes });
      expect(await storage.resized(spec.functionId, sizeBytes)).toEqual(grown);
      expect(await storage.list()).toEqual([grown]);
    });

    it('detaches; twice, and what was never attached, is fine', async () => {
      await storage.attach(spec);
      await storage.detach(spec.functionId);
      await storage.detach(spec.functionId);
      await storage.detach(second.functionId);
      expect(await storage.list()).toEqual([]);
    });

    it('rejects with the reason of a signal that is aborted, and leaves nothing', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(storage.attach(spec, signal)).rejects.toBe(reason);
      await expect(storage.list(signal)).rejects.toBe(reason);
      expect(await storage.list()).toEqual([]);
      const attached = await storage.attach(spec);
      await expect(storage.detach(spec.functionId, signal)).rejects.toBe(reason);
      expect(await storage.list()).toEqual([attached]);
    });

    it('lists what is not ours without a mark, and does not touch it', async ({ skip }) => {
      if (!harness.plantForeign) return skip('nobody else can attach here');
      const functionId = await harness.plantForeign();
      const before = await storage.list();
      expect(before.map((each) => each.mark)).toEqual([null]);
      await rejection(storage.detach(functionId), 'denied');
      await rejection(storage.attach({ ...spec, functionId }), 'conflict');
      await rejection(storage.setQos(functionId, { iosPerSecond: 1000 }), 'denied');
      await rejection(storage.resized(functionId, 2 ** 30), 'denied');
      expect(await storage.list()).toEqual(before);
    });

    it('tells nothing of the connection', async () => {
      const attached = await storage.attach(spec);
      const secret = spec.connection.data.auth_password;
      if (typeof secret === 'string') expect(JSON.stringify([attached, await storage.list()])).not.toContain(secret);
      expect(attached).not.toHaveProperty('connection');
    });

    it('has everything as it was when the daemon comes back', async ({ skip }) => {
      if (!harness.reopen) return skip('this target can not be reopened here');
      await storage.attach(spec);
      const before = await storage.list();
      expect(await (await harness.reopen()).list()).toEqual(before);
    });
  });
}
