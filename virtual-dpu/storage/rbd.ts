import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bdev } from './bdevs.ts';
import type { Face, RbdCluster } from './face.ts';
import { addThrottle } from './qos.ts';
import { addNodes, nodeSize, removeNodes } from './qsd.ts';
import { errno, RpcError } from './rpc-error.ts';

/** An image to open, as `bdev_rbd_create` is asked. */
export interface RbdImage {
  readonly name: string;
  readonly pool: string;
  readonly image: string;
  readonly blockSize: number;
  readonly uuid: string | undefined;
  readonly cluster: RbdCluster;
  /** Whether the cluster was registered by a name, which is then shown. */
  readonly shared: boolean;
}

/** What SPDK answers to whatever librbd says: bdev_rbd_init gives -1 for all (module/bdev/rbd/bdev_rbd.c). */
const FAILED = new RpcError(-1, 'Operation not permitted');

/**
 * Opens a Ceph image with the storage daemon's `rbd` driver (package qemu-block-extra). What the cluster's options say is handed over in a
 * configuration file that only this user can read and that is gone afterwards.
 * @throws RpcError -1
 */
export async function openRbd(face: Face, spec: RbdImage): Promise<Bdev> {
  const { cluster } = spec;
  const node = face.qsd.name('node');
  const conf = join(face.settings.runDir, `${randomUUID()}.conf`);
  try {
    await writeFile(conf, await configuration(cluster), { mode: 0o600 });
    await addNodes(face.qsd, [
      {
        driver: 'rbd',
        'node-name': node,
        pool: spec.pool,
        image: spec.image,
        ...(cluster.user_id !== undefined && { user: cluster.user_id }),
        conf,
        discard: 'unmap',
      },
    ]);
  } catch (error) {
    face.log.warn('a Ceph image can not be opened', { pool: spec.pool, image: spec.image, error });
    throw FAILED;
  } finally {
    await rm(conf, { force: true });
  }
  const filters = await addThrottle(face.qsd, node);
  return await face.bdevs.add({
    name: spec.name,
    ...(spec.uuid !== undefined && { uuid: spec.uuid }),
    module: 'rbd',
    productName: 'Ceph Rbd Disk',
    blockSize: spec.blockSize,
    sizeBytes: await nodeSize(face.qsd, node),
    readOnly: false,
    ioTypes: ['read', 'write', 'unmap', 'write_zeroes', 'flush', 'reset', 'compare_and_write'],
    node: filters.node,
    throttle: filters.throttle,
    writeThrough: false,
    driverSpecific: () => ({
      rbd: {
        pool_name: spec.pool,
        rbd_name: spec.image,
        ...(spec.shared ? { cluster_name: cluster.name } : { user_id: cluster.user_id }),
      },
    }),
    config: {
      method: 'bdev_rbd_create',
      params: {
        name: spec.name,
        pool_name: spec.pool,
        rbd_name: spec.image,
        block_size: spec.blockSize,
        ...(spec.shared && { cluster_name: cluster.name }),
      },
    },
    destroy: async () => {
      await filters.remove();
      await removeNodes(face.qsd, [node]);
    },
  });
}

/** How long Ceph's monitors may take; the storage daemon serves nobody meanwhile. librados' own is 300. */
const MOUNT_SECONDS = 20;

/** A cluster's options as a ceph.conf: what is said later wins. */
async function configuration(cluster: RbdCluster): Promise<string> {
  const { config_file: file, config_param: params = {}, key_file: keyring } = cluster;
  const options = Object.entries({
    client_mount_timeout: String(MOUNT_SECONDS),
    ...params,
    ...(keyring !== undefined && { keyring }),
  });
  if (options.some((each) => each.join('').includes('\n'))) throw errno('EINVAL');
  return [
    file === undefined ? '' : await readFile(file, 'utf8'),
    '[global]',
    ...options.map(([name, value]) => `${name} = ${value}`),
    '',
  ].join('\n');
}
