import { createHash } from 'node:crypto';
import {
  bdev,
  createIfAbsent,
  deleteLvolIfExists,
  ensureSnapshot,
  findLvol,
  lvol,
  MethodNotFoundError,
  RpcError,
  type SpdkClient,
  vhost,
} from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { asking } from '../spdk-errors.ts';
import { stopController } from '../stop-controller.ts';
import type { Backing } from './backing.ts';
import { runImageTool } from './image-tool.ts';
import type { ImageFile } from './images.ts';

const mib = 1024 * 1024;

/** How the content of an image gets into a bdev: SPDK's RPC moves no data. */
export type ImageWriter = (bdevName: string, image: ImageFile, signal?: AbortSignal) => Promise<void>;

/** What volumes in a store of SPDK are made with. */
export interface LvolBackingOptions {
  readonly spdk: SpdkClient;
  readonly store: string;
  /** Makes the store be there, after a restart of SPDK too. */
  readonly prepare: () => Promise<void>;
  readonly write: ImageWriter;
}

/**
 * Volumes as thin lvols: an image is written once, and each volume is a clone of it. Snapshots are taken under a running guest.
 */
export function lvolBacking({ spdk, store, prepare, write }: LvolBackingOptions): Backing {
  const volume = (id: string): string => `vol-${id}`;
  const snapshotName = (id: string): string => `snap-${id}`;
  const full = (name: string): string => `${store}/${name}`;

  async function within<Result>(
    doing: string,
    signal: AbortSignal | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    return asking(doing, signal, async () => {
      await prepare();
      return await work();
    });
  }

  /** The name of a snapshot that holds the image; it is written when it is not there, by one at a time. */
  let importing: Promise<unknown> = Promise.resolve();
  async function imported(image: ImageFile, signal?: AbortSignal): Promise<string> {
    const family = `img-${hash(image.id)}-`;
    const name = `${family}${hash(image.revision)}`;
    const mine = importing.then(async () => {
      if (await findLvol(spdk, full(name))) return;
      const draft = `draft-${hash(image.id)}`;
      await deleteLvolIfExists(spdk, full(draft));
      const size = Math.ceil(image.sizeBytes / mib);
      await spdk.call(lvol.create, { lvs_name: store, lvol_name: draft, size_in_mib: size, thin_provision: true });
      await write(full(draft), image, signal);
      await ensureSnapshot(spdk, { store, volume: draft, snapshot: name });
      await deleteLvolIfExists(spdk, full(draft));
      await forgetOlder(family, name);
    });
    importing = mine.catch(() => undefined); // told to who asked
    await mine;
    return name;
  }

  /** Earlier revisions of an image go, but for those that several volumes lie on: SPDK refuses that. */
  async function forgetOlder(family: string, current: string): Promise<void> {
    const all = await spdk.call(lvol.list, { lvs_name: store });
    for (const { name } of all.filter((each) => each.name.startsWith(family) && each.name !== current)) {
      try {
        await deleteLvolIfExists(spdk, full(name));
      } catch (error) {
        if (!(error instanceof RpcError)) throw error; // it stays until the next revision
      }
    }
  }

  async function clone(id: string, snapshot: string, sizeBytes: number): Promise<void> {
    await createIfAbsent(
      () => spdk.call(lvol.clone, { snapshot_name: full(snapshot), clone_name: volume(id) }),
      () => findLvol(spdk, full(volume(id))),
    );
    await grow(id, sizeBytes);
  }

  async function grow(id: string, sizeBytes: number): Promise<void> {
    const [found] = await spdk.call(bdev.list, { name: full(volume(id)) });
    if (found && found.num_blocks * found.block_size >= sizeBytes) return;
    await spdk.call(lvol.resize, { name: full(volume(id)), size_in_mib: Math.ceil(sizeBytes / mib) });
  }

  return {
    fromImage: (id, image, sizeBytes, signal) =>
      within(`making volume ${id}`, signal, async () => clone(id, await imported(image, signal), sizeBytes)),
    fromSnapshot: (id, snapshot, sizeBytes, signal) =>
      within(`making volume ${id}`, signal, () => clone(id, snapshotName(snapshot), sizeBytes)),
    blank: (id, sizeBytes, signal) =>
      within(`making volume ${id}`, signal, async () => {
        const size = Math.ceil(sizeBytes / mib);
        await createIfAbsent(
          () =>
            spdk.call(lvol.create, { lvs_name: store, lvol_name: volume(id), size_in_mib: size, thin_provision: true }),
          () => findLvol(spdk, full(volume(id))),
        );
      }),
    remove: (id, wipe, signal) =>
      within(`deleting volume ${id}`, signal, async () => {
        // SPDK unmaps the clusters of an lvol that it deletes (doc/jsonrpc.md, "bdev_lvol_create": clear_method), so `discard` is no more than that
        if (wipe === 'zero') throw new DpuError('unsupported', 'volumes of an lvol store are not written over');
        await deleteLvolIfExists(spdk, full(volume(id)));
      }),
    snapshot: (id, snapshot, _written, signal) =>
      within(`snapshot of volume ${id}`, signal, async () => {
        await ensureSnapshot(spdk, { store, volume: volume(id), snapshot: snapshotName(snapshot) });
      }),
    removeSnapshot: (snapshot, signal) =>
      within(`deleting snapshot ${snapshot}`, signal, async () => {
        const name = full(snapshotName(snapshot));
        try {
          await deleteLvolIfExists(spdk, name);
        } catch (error) {
          // SPDK refuses while several volumes lie on it, and says no more than that
          if (!(error instanceof RpcError) || !(await findLvol(spdk, name))) throw error;
          throw new DpuError('busy', `volumes lie on snapshot ${snapshot}`, { cause: error });
        }
      }),
    grow: (id, sizeBytes, signal) => within(`growing volume ${id}`, signal, () => grow(id, sizeBytes)),
    connection: (id, sizeBytes) => ({ protocol: 'local', data: { lvol: full(volume(id)), size_bytes: sizeBytes } }),
  };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** Writes images by an NBD export of the target, by the name of a controller that is made for it: what the virtual DPU's target offers. */
export function nbdExportWriter(spdk: SpdkClient, clock: Clock, socket: string): ImageWriter {
  return async (bdevName, image, signal) => {
    const ctrlr = `import-${createHash('sha256').update(bdevName).digest('hex').slice(0, 12)}`;
    await stopController(spdk, clock, ctrlr);
    await spdk.call(vhost.createBlk, { ctrlr, dev_name: bdevName });
    try {
      const target = `driver=nbd,server.type=unix,server.path=${socket.replaceAll(',', ',,')},export=${ctrlr}`;
      await runImageTool(['convert', '-n', '-f', image.format, '--target-image-opts', image.path, target], signal);
    } finally {
      await stopController(spdk, clock, ctrlr);
    }
  };
}

/** Writes images by the kernel's NBD client (SPDK doc/jsonrpc.md, "nbd_start_disk"), as a plain SPDK offers it. */
export function kernelNbdWriter(spdk: SpdkClient): ImageWriter {
  return async (bdevName, image, signal) => {
    let device: unknown;
    try {
      device = await spdk.request('nbd_start_disk', { bdev_name: bdevName });
    } catch (error) {
      if (!(error instanceof MethodNotFoundError)) throw error;
      throw new DpuError('unsupported', 'this SPDK offers no way to write an image into an lvol', { cause: error });
    }
    if (typeof device !== 'string') throw new DpuError('hardware', 'SPDK names no NBD device');
    try {
      await runImageTool(['convert', '-n', '-f', image.format, '-O', 'raw', image.path, device], signal);
    } finally {
      await spdk.request('nbd_stop_disk', { nbd_device: device });
    }
  };
}
