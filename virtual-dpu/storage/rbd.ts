import { readFile } from 'node:fs/promises';
import type { Bdev } from './bdevs.ts';
import type { Face, RbdCluster } from './face.ts';
import { addThrottle } from './qos.ts';
import { addNodes, nodeSize, removeNodes } from './qsd.ts';
import { errno, RPC, RpcError } from './rpc-error.ts';

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

/** Opens a Ceph image with the storage daemon's `rbd` driver (package qemu-block-extra). @throws RpcError -1 */
export async function openRbd(face: Face, spec: RbdImage): Promise<Bdev> {
  const { cluster } = spec;
  const key = await keyOf(cluster);
  const secret = key === undefined ? undefined : face.qsd.name('secret');
  const { config_param: config = {} } = cluster;
  const node = face.qsd.name('node');
  const servers = monitors(config.mon_host);
  const options = {
    driver: 'rbd',
    'node-name': node,
    pool: spec.pool,
    image: spec.image,
    ...(cluster.user_id !== undefined && { user: cluster.user_id }),
    ...(cluster.config_file !== undefined && { conf: cluster.config_file }),
    ...(servers.length > 0 && { server: servers }),
    ...(secret !== undefined && { 'key-secret': secret, 'auth-client-required': ['cephx'] }),
    discard: 'unmap',
  };
  const forget = async () => {
    if (secret !== undefined) await face.qsd.qmp.execute('object-del', { id: secret });
  };
  try {
    if (secret !== undefined) {
      // raw, the default, would encode the key twice: "error connecting: Invalid argument"
      await face.qsd.qmp.execute('object-add', { 'qom-type': 'secret', id: secret, format: 'base64', data: key });
    }
    await addNodes(face.qsd, [options]);
  } catch (error) {
    face.log.warn('a Ceph image can not be opened', { pool: spec.pool, image: spec.image, error });
    await forget().catch(() => undefined); // it may not have been made
    throw FAILED;
  }
  const filters = await addThrottle(face.qsd, node);
  return face.bdevs.add({
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
      await forget();
    },
  });
}

/** The key that a cluster's options name: in them, or in a keyring; undefined when Ceph's own configuration says where it is. */
async function keyOf({ config_param: config, key_file: file }: RbdCluster): Promise<string | undefined> {
  if (config?.key !== undefined) return config.key;
  if (file === undefined) return undefined;
  try {
    return /^\s*key\s*=\s*(\S+)\s*$/m.exec(await readFile(file, 'utf8'))?.[1];
  } catch {
    throw errno('ENOENT', RPC.internal); // the keyring can't be read; its path is the operator's own
  }
}

/** `mon_host` as in ceph.conf: addresses with a port or without, `v1:` and `v2:` in brackets. */
function monitors(list = ''): readonly { readonly host: string; readonly port: string }[] {
  return [...list.matchAll(/(?:v([12]):)?([0-9.]+|\[[0-9a-f:]+\])(?::(\d+))?(?:\/\d+)?/g)]
    .filter(([, version]) => version !== '2') // the driver's servers speak either; one address each is enough
    .map(([, , host = '', port = '6789']) => ({ host: host.replace(/^\[|\]$/g, ''), port }));
}
