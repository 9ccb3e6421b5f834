import { isList, isString, isTrue, method } from '../method.ts';

/** A store by either of its names; give one. */
export type StoreRef = { readonly uuid: string } | { readonly lvs_name: string };

/** A store of logical volumes. */
export interface Lvstore {
  readonly uuid: string;
  readonly name: string;
  readonly base_bdev: string;
  readonly total_data_clusters: number;
  readonly free_clusters: number;
  readonly block_size: number;
  /** Bytes. */
  readonly cluster_size: number;
}

/** A logical volume, snapshot or clone. A volume with a snapshot shows as a clone of it. */
export interface Lvol {
  /** `store/name`. */
  readonly alias: string;
  readonly uuid: string;
  readonly name: string;
  readonly is_thin_provisioned: boolean;
  readonly is_snapshot: boolean;
  readonly is_clone: boolean;
  readonly is_esnap_clone?: boolean;
  readonly is_degraded?: boolean;
  readonly lvs: { readonly name: string; readonly uuid: string };
}

/** What is done with the clusters of a store or volume that is deleted. */
export type ClearMethod = 'none' | 'unmap' | 'write_zeroes';

/** A volume to create; exactly one of `uuid` and `lvs_name` names the store. */
export interface CreateLvol {
  readonly lvol_name: string;
  readonly size_in_mib: number;
  readonly thin_provision?: boolean;
  readonly uuid?: string;
  readonly lvs_name?: string;
  readonly clear_method?: ClearMethod;
}

type Named = { readonly name: string };

/** Logical volumes (SPDK doc/jsonrpc.md, "Logical Volume"). Volumes are named by uuid or by `store/name`. */
export const lvol = {
  /** Makes a store on a bdev and gives its uuid. */
  createStore: method<
    {
      readonly bdev_name: string;
      readonly lvs_name: string;
      readonly cluster_sz?: number;
      readonly clear_method?: ClearMethod;
    },
    string
  >('bdev_lvol_create_lvstore', isString),
  /** Removes a store with all that is in it. */
  removeStore: method<StoreRef, true>('bdev_lvol_delete_lvstore', isTrue),
  /** Takes over the bdev's new size. */
  growStore: method<StoreRef, true>('bdev_lvol_grow_lvstore', isTrue),
  /** Renames a store. */
  renameStore: method<{ readonly old_name: string; readonly new_name: string }, true>(
    'bdev_lvol_rename_lvstore',
    isTrue,
  ),
  /** The stores, or one of them. */
  stores: method<{ readonly uuid?: string; readonly lvs_name?: string }, readonly Lvstore[]>(
    'bdev_lvol_get_lvstores',
    isList({ uuid: 'string', name: 'string', free_clusters: 'number', cluster_size: 'number' }),
  ),
  /** Makes a volume and gives its uuid. */
  create: method<CreateLvol, string>('bdev_lvol_create', isString),
  /** The volumes of a store, or of all. */
  list: method<{ readonly lvs_uuid?: string; readonly lvs_name?: string }, readonly Lvol[]>(
    'bdev_lvol_get_lvols',
    isList({
      alias: 'string',
      uuid: 'string',
      name: 'string',
      is_snapshot: 'boolean',
      is_clone: 'boolean',
      lvs: 'object',
    }),
  ),
  /** Takes a snapshot, crash-consistent, while the volume is in use, and gives its uuid. A name that is taken: -32602; no volume: -19. */
  snapshot: method<{ readonly lvol_name: string; readonly snapshot_name: string }, string>(
    'bdev_lvol_snapshot',
    isString,
  ),
  /** Makes a writable clone of a snapshot and gives its uuid. */
  clone: method<{ readonly snapshot_name: string; readonly clone_name: string }, string>('bdev_lvol_clone', isString),
  /** Makes a clone of any bdev, which must not change any more. */
  cloneBdev: method<{ readonly bdev: string; readonly lvs_name: string; readonly clone_name: string }, string>(
    'bdev_lvol_clone_bdev',
    isString,
  ),
  /** Resizes a volume, seen at once by those who use it. */
  resize: method<{ readonly name: string; readonly size_in_mib: number }, true>('bdev_lvol_resize', isTrue),
  /** Gives a volume all its clusters, so that it needs no parent. */
  inflate: method<Named, true>('bdev_lvol_inflate', isTrue),
  /** Copies what the volume has of its parent, and lets go of it; thin stays thin. */
  decoupleParent: method<Named, true>('bdev_lvol_decouple_parent', isTrue),
  /** Renames a volume. */
  rename: method<{ readonly old_name: string; readonly new_name: string }, true>('bdev_lvol_rename', isTrue),
  /** Makes a volume read-only, for good. */
  setReadOnly: method<Named, true>('bdev_lvol_set_read_only', isTrue),
  /** Removes a volume; a snapshot with several clones answers -32603. */
  remove: method<Named, true>('bdev_lvol_delete', isTrue),
} as const;
