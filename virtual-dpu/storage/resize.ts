import type { Bdev } from './bdevs.ts';
import type { Face } from './face.ts';
import { announceSize } from './host-resize.ts';
import { errno } from './rpc-error.ts';

/**
 * Gives a bdev another size: its exports go, since the storage daemon resizes nothing that is exported, the nodes are resized, the exports come
 * again, and the host is told. Clients connect again by themselves and see no error.
 */
export async function resizeBdev(face: Face, bdev: Bdev, sizeBytes: number): Promise<void> {
  await face.exports.without([...bdev.exports], async () => {
    try {
      await face.qsd.qmp.execute('block_resize', { 'node-name': bdev.node, size: sizeBytes });
    } catch (error) {
      face.log.warn('the storage daemon refused to resize', { bdev: bdev.name, error });
      throw errno('EIO');
    }
    bdev.sizeBytes = sizeBytes;
  });
  await resized(face, bdev);
}

/** Tells all who have a bdev that it has another size. */
export async function resized(face: Face, bdev: Bdev): Promise<void> {
  for (const each of [...bdev.onResize]) await each();
  if (face.settings.hostQmp === null || face.settings.front.kind !== 'nbd') return;
  for (const controller of face.vhost.values()) {
    if (controller.served.bdev !== bdev) continue;
    announceSize(face.log, {
      qmp: face.settings.hostQmp,
      socket: face.settings.front.socket,
      name: controller.name,
      size: () => bdev.sizeBytes,
    });
  }
}
