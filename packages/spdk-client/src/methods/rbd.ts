import { isString, isTrue, method } from '../method.ts';

/** A Ceph connection that many images share. */
export interface RbdCluster {
  readonly name: string;
  /** Without the `client.` in front. */
  readonly user_id?: string;
  /** Options of ceph.conf by name; may hold a key, and is kept out of errors. */
  readonly config_param?: Readonly<Record<string, string>>;
  readonly config_file?: string;
  readonly key_file?: string;
  readonly core_mask?: string;
}

/** An image as a bdev. Always give `cluster_name`: a connection per image runs out of threads at some 1,850 images. */
export interface RbdImage {
  readonly pool_name: string;
  readonly rbd_name: string;
  readonly block_size: number;
  readonly name?: string;
  readonly cluster_name?: string;
  readonly user_id?: string;
  readonly config?: Readonly<Record<string, string>>;
  readonly uuid?: string;
  readonly read_only?: boolean;
}

/** One registered cluster, as far as its listing is known. */
export interface RbdClusterInfo {
  readonly cluster_name: string;
  readonly user_id?: string;
  readonly config_file?: string;
}

/**
 * Ceph images (SPDK doc/jsonrpc.md, "bdev_rbd_create"). Not met in a recording; only in builds with RBD, so ask
 * `rpc_get_methods` first. There are no snapshots by RPC: take them through Ceph. Opening an image may block a reactor
 * for as long as Ceph is away: use a deadline.
 */
export const rbd = {
  /** Registers a connection and gives its name. */
  registerCluster: method<RbdCluster, string>('bdev_rbd_register_cluster', isString),
  /** Forgets one that no image uses. */
  unregisterCluster: method<{ readonly name: string }, true>('bdev_rbd_unregister_cluster', isTrue),
  /** The registered clusters; one is answered as an object, all as a list. */
  clusters: method<{ readonly name?: string }, readonly RbdClusterInfo[] | RbdClusterInfo>(
    'bdev_rbd_get_clusters_info',
    (value): value is readonly RbdClusterInfo[] | RbdClusterInfo =>
      Array.isArray(value) ? value.every(isCluster) : isCluster(value),
  ),
  /** Opens an image and gives the bdev's name. */
  create: method<RbdImage, string>('bdev_rbd_create', isString),
  /** Closes an image; the image itself stays. */
  remove: method<{ readonly name: string }, true>('bdev_rbd_delete', isTrue),
  /** Resizes the image; `new_size` in MiB. */
  resize: method<{ readonly name: string; readonly new_size: number }, true>('bdev_rbd_resize', isTrue),
} as const;

function isCluster(value: unknown): value is RbdClusterInfo {
  return (
    typeof value === 'object' && value !== null && 'cluster_name' in value && typeof value.cluster_name === 'string'
  );
}
