import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import { asId, type NodeId, type VolumeId } from '../../core/units.ts';
import { instance, node, otherInstance, rejection, volumeId } from './samples.ts';

/** A volume service to test: with one image, one volume that somebody else made, and nothing made for our node. */
export interface VolumeHarness {
  readonly volumes: VolumeService;
  readonly image: string;
  readonly foreignVolume: VolumeId;
  reopen?(): Promise<VolumeService>;
  close(): Promise<void>;
}

const noVolume = asId<VolumeId>('99999999-9999-4999-8999-999999999999');
const cloned = asId<VolumeId>('77777777-7777-4777-8777-777777777777');
const otherNode = asId<NodeId>('88888888-8888-4888-8888-888888888888');

/** What every VolumeService does. */
export function volumeServiceContract(name: string, makeHarness: () => Promise<VolumeHarness>): void {
  describe(`VolumeService: ${name}`, () => {
    let harness: VolumeHarness;
    let volumes: VolumeService;
    beforeEach(async () => {
      harness = await makeHarness();
      volumes = harness.volumes;
    });
    afterEach(() => harness.close());

    const fromImage = async (id = volumeId) => {
      const { minSizeBytes } = await volumes.getImage(harness.image);
      return { id, image: harness.image, sizeBytes: minSizeBytes * 2, node, instance };
    };
    const made = async () => volumes.ensureVolumeFromImage(await fromImage());
    const exported = { volumeId, node, instance, readOnly: false };

    it('finds an image by name and by id', async () => {
      const image = await volumes.getImage(harness.image);
      expect(image.name).toBe(harness.image);
      expect(image.minSizeBytes).toBeGreaterThan(0);
      expect(await volumes.getImage(image.id)).toEqual(image);
      await rejection(volumes.getImage('no such image'), 'not_found');
    });

    it('makes a bootable volume from an image once, for its instance', async () => {
      const spec = await fromImage();
      const volume = await volumes.ensureVolumeFromImage(spec);
      expect(volume).toEqual({
        id: volumeId,
        sizeBytes: spec.sizeBytes,
        bootable: true,
        madeFor: { node, instance },
      });
      expect(await volumes.ensureVolumeFromImage(spec)).toEqual(volume);
      expect(await volumes.getVolume(volumeId)).toEqual(volume);
      expect(await volumes.listMadeFor(node)).toEqual([volume]);
      expect(await volumes.listMadeFor(otherNode)).toEqual([]);
    });

    it('refuses the same volume with another specification, and says the difference', async () => {
      const spec = await fromImage();
      const volume = await volumes.ensureVolumeFromImage(spec);
      const bigger = { ...spec, sizeBytes: spec.sizeBytes * 2 };
      const error = await rejection(volumes.ensureVolumeFromImage(bigger), 'conflict');
      expect(error.details).toEqual({ sizeBytes: [spec.sizeBytes, bigger.sizeBytes] });
      await rejection(volumes.ensureVolumeFromImage({ ...spec, instance: otherInstance }), 'conflict');
      expect(await volumes.getVolume(volumeId)).toEqual(volume);
    });

    it('makes nothing from an image that it has not', async () => {
      await rejection(volumes.ensureVolumeFromImage({ ...(await fromImage()), image: 'none' }), 'not_found');
      expect(await volumes.listMadeFor(node)).toEqual([]);
      await rejection(volumes.getVolume(volumeId), 'not_found');
    });

    it('deletes what it made; twice, and what never was, is fine', async () => {
      await made();
      await volumes.deleteVolume(volumeId);
      await volumes.deleteVolume(volumeId);
      await volumes.deleteVolume(noVolume);
      expect(await volumes.listMadeFor(node)).toEqual([]);
    });

    it('does not delete what is exported, nor what others made', async () => {
      await made();
      await volumes.connect(exported);
      await rejection(volumes.deleteVolume(volumeId), 'busy');
      await rejection(volumes.deleteVolume(harness.foreignVolume), 'denied');
      expect((await volumes.getVolume(harness.foreignVolume)).madeFor).toBeNull();
      await volumes.disconnect(volumeId, instance);
      await volumes.deleteVolume(volumeId);
    });

    it('exports a volume once, others’ too, and lists exports by node', async () => {
      await made();
      const connection = await volumes.connect(exported);
      expect(connection.protocol).toMatch(/./);
      expect(await volumes.connect(exported)).toEqual(connection);
      expect(await volumes.listExports(node)).toEqual([exported]);
      expect(await volumes.listExports(otherNode)).toEqual([]);
      await volumes.connect({ ...exported, volumeId: harness.foreignVolume });
      expect(await volumes.listExports(node)).toHaveLength(2);
    });

    it('refuses a second writer, and the same export with another access', async () => {
      await made();
      await volumes.connect(exported);
      await rejection(volumes.connect({ ...exported, instance: otherInstance }), 'conflict');
      const error = await rejection(volumes.connect({ ...exported, readOnly: true }), 'conflict');
      expect(error.details).toEqual({ readOnly: [false, true] });
      expect(await volumes.listExports(node)).toEqual([exported]);
      await rejection(volumes.connect({ ...exported, volumeId: noVolume }), 'not_found');
    });

    it('lets several read', async () => {
      const reading = { ...exported, volumeId: harness.foreignVolume, readOnly: true };
      await volumes.connect(reading);
      await volumes.connect({ ...reading, instance: otherInstance });
      expect(await volumes.listExports(node)).toHaveLength(2);
    });

    it('ends an export; twice, and what never was, is fine; another’s stays', async () => {
      await made();
      await volumes.connect(exported);
      await volumes.disconnect(volumeId, otherInstance);
      expect(await volumes.listExports(node)).toEqual([exported]);
      await volumes.disconnect(volumeId, instance);
      await volumes.disconnect(volumeId, instance);
      await volumes.disconnect(noVolume, instance);
      expect(await volumes.listExports(node)).toEqual([]);
    });

    it('takes a snapshot once, and makes volumes from it', async () => {
      const { sizeBytes } = await made();
      const snapshot = await volumes.ensureSnapshot({ id: 'snap-1', volumeId });
      expect(snapshot).toEqual({ id: 'snap-1', volumeId, sizeBytes });
      expect(await volumes.ensureSnapshot({ id: 'snap-1', volumeId })).toEqual(snapshot);
      await rejection(volumes.ensureSnapshot({ id: 'snap-1', volumeId: harness.foreignVolume }), 'conflict');
      await rejection(volumes.ensureSnapshot({ id: 'snap-2', volumeId: noVolume }), 'not_found');
      expect(await volumes.listSnapshots(volumeId)).toEqual([snapshot]);
      expect(await volumes.listSnapshots(noVolume)).toEqual([]);
      const spec = { id: cloned, snapshot: 'snap-1', sizeBytes, node, instance: otherInstance };
      const volume = await volumes.ensureVolumeFromSnapshot(spec);
      expect(volume).toEqual({ id: cloned, sizeBytes, bootable: true, madeFor: { node, instance: otherInstance } });
      expect(await volumes.ensureVolumeFromSnapshot(spec)).toEqual(volume);
      await rejection(volumes.ensureVolumeFromSnapshot({ ...spec, id: noVolume, sizeBytes: sizeBytes / 2 }), 'invalid');
      await rejection(volumes.ensureVolumeFromSnapshot({ ...spec, id: noVolume, snapshot: 'none' }), 'not_found');
      await volumes.deleteVolume(cloned);
      await volumes.deleteSnapshot('snap-1');
      await volumes.deleteSnapshot('snap-1');
      expect(await volumes.listSnapshots(volumeId)).toEqual([]);
    });

    it('grows a volume, and never makes it smaller', async () => {
      const { sizeBytes } = await made();
      const grown = await volumes.resizeVolume(volumeId, sizeBytes * 2);
      expect(grown.sizeBytes).toBe(sizeBytes * 2);
      expect(await volumes.resizeVolume(volumeId, sizeBytes * 2)).toEqual(grown);
      expect(await volumes.getVolume(volumeId)).toEqual(grown);
      await rejection(volumes.resizeVolume(volumeId, sizeBytes), 'invalid');
      await rejection(volumes.resizeVolume(noVolume, sizeBytes), 'not_found');
    });

    it('rejects with the reason of a signal that is aborted, and leaves nothing', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(volumes.getImage(harness.image, signal)).rejects.toBe(reason);
      await expect(volumes.ensureVolumeFromImage(await fromImage(), signal)).rejects.toBe(reason);
      expect(await volumes.listMadeFor(node)).toEqual([]);
      const volume = await made();
      await expect(volumes.connect(exported, signal)).rejects.toBe(reason);
      expect(await volumes.listExports(node)).toEqual([]);
      await volumes.connect(exported);
      await expect(volumes.disconnect(volumeId, instance, signal)).rejects.toBe(reason);
      expect(await volumes.listExports(node)).toEqual([exported]);
      await volumes.disconnect(volumeId, instance);
      await expect(volumes.deleteVolume(volumeId, signal)).rejects.toBe(reason);
      expect(await volumes.listMadeFor(node)).toEqual([volume]);
    });

    it('has everything as it was when the daemon comes back', async ({ skip }) => {
      if (!harness.reopen) return skip('this service can not be reopened here');
      const volume = await made();
      const connection = await volumes.connect(exported);
      const again = await harness.reopen();
      expect(await again.listMadeFor(node)).toEqual([volume]);
      expect(await again.listExports(node)).toEqual([exported]);
      expect(await again.connect(exported)).toEqual(connection);
    });
  });
}
