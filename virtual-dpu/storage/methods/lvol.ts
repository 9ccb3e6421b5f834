import type { Face, Method } from '../face.ts';
import { Later } from '../later.ts';
import {
  cloneSnapshot,
  createVolume,
  type Found,
  findVolume,
  idle,
  letGo,
  removeVolume,
  renameVolume,
  resizeVolume,
  setReadOnly,
  snapshotVolume,
} from '../lvol.ts';
import { createStore, deleteStore, describeStore, findStore, keep, type LvolStore } from '../lvol-store.ts';
import { decode, decodeOptional } from '../params.ts';
import { errno, RpcError } from '../rpc-error.ts';
import { existing } from './bdev.ts';

const MIB = 1024 * 1024;
const CLEAR = /^(none|unmap|write_zeroes)$/i;

/** Methods of logical volumes (SPDK doc/jsonrpc.md, "Logical Volume"; module/bdev/lvol/vbdev_lvol_rpc.c of v24.01 for the errors). */
export const lvolMethods: Readonly<Record<string, Method>> = {
  async bdev_lvol_create_lvstore(face, params) {
    const given = decode(params, {
      bdev_name: 'string',
      cluster_sz: 'uint32?',
      lvs_name: 'string',
      clear_method: 'string?',
      num_md_pages_per_cluster_ratio: 'uint32?',
    });
    if (given.clear_method !== undefined && !CLEAR.test(given.clear_method)) {
      throw new RpcError(-22, 'Invalid clear_method parameter');
    }
    const store = await createStore(face, existing(face, given.bdev_name), given.lvs_name, given.cluster_sz);
    return store.record.uuid;
  },
  async bdev_lvol_delete_lvstore(face, params) {
    await deleteStore(face, storeOf(face, decode(params, { uuid: 'string?', lvs_name: 'string?' })));
    return true;
  },
  async bdev_lvol_rename_lvstore(face, params) {
    const { old_name: from, new_name: to } = decode(params, { old_name: 'string', new_name: 'string' });
    const store = findStore(face, { lvs_name: from });
    if (store === undefined) throw new RpcError(-2, `Lvol store ${from} not found`);
    if (from === to) return true;
    if (findStore(face, { lvs_name: to }) !== undefined) throw errno('EEXIST', -32602);
    await keep(store, { ...store.record, name: to });
    for (const { uuid, name } of store.record.blobs) {
      const volume = store.volumes.get(uuid);
      if (volume !== undefined) volume.bdev.aliases = [`${to}/${name}`];
    }
    return true;
  },
  bdev_lvol_grow_lvstore(face, params) {
    storeOf(face, decode(params, { uuid: 'string?', lvs_name: 'string?' }));
    return true; // what there is room for is counted from the bdev's size each time
  },
  async bdev_lvol_get_lvstores(face, params) {
    const given = decodeOptional(params, { uuid: 'string?', lvs_name: 'string?' });
    const stores = params === undefined ? [...face.stores.values()] : [storeOf(face, given)];
    return await Promise.all(stores.map(describeStore));
  },
  async bdev_lvol_create(face, params) {
    const given = decode(params, {
      uuid: 'string?',
      lvs_name: 'string?',
      lvol_name: 'string',
      size: 'uint64?',
      size_in_mib: 'uint64?',
      thin_provision: 'bool?',
      clear_method: 'string?',
    });
    if (given.clear_method !== undefined && !CLEAR.test(given.clear_method)) {
      throw new RpcError(-22, 'Invalid clean_method option'); // sic
    }
    return await createVolume(face, storeOf(face, given), {
      name: given.lvol_name,
      sizeBytes: given.size_in_mib === undefined ? (given.size ?? 0) : given.size_in_mib * MIB,
      thin: given.thin_provision ?? false,
    });
  },
  bdev_lvol_get_lvols(face, params) {
    const given = decodeOptional(params, { lvs_uuid: 'string?', lvs_name: 'string?' });
    const stores =
      params === undefined
        ? [...face.stores.values()]
        : [storeOf(face, { uuid: given.lvs_uuid, lvs_name: given.lvs_name })];
    return stores.flatMap(listVolumes);
  },
  bdev_lvol_snapshot(face, params) {
    const given = decode(params, { lvol_name: 'string', snapshot_name: 'string' });
    return snapshotVolume(face, volumeOf(face, given.lvol_name), given.snapshot_name);
  },
  bdev_lvol_clone(face, params) {
    const given = decode(params, { snapshot_name: 'string', clone_name: 'string' });
    return cloneSnapshot(face, volumeOf(face, given.snapshot_name), given.clone_name);
  },
  async bdev_lvol_resize(face, params) {
    const given = decode(params, { name: 'string', size: 'uint64?', size_in_mib: 'uint64?' });
    const bytes = given.size_in_mib === undefined ? (given.size ?? 0) : given.size_in_mib * MIB;
    await resizeVolume(face, volumeOf(face, given.name), bytes);
    return true;
  },
  async bdev_lvol_rename(face, params) {
    const given = decode(params, { old_name: 'string', new_name: 'string' });
    await renameVolume(volumeOf(face, given.old_name), given.new_name);
    return true;
  },
  bdev_lvol_inflate: (face, params) => lettingGo(face, params, true),
  bdev_lvol_decouple_parent: (face, params) => lettingGo(face, params, false),
  async bdev_lvol_set_read_only(face, params) {
    await setReadOnly(face, volumeOf(face, decode(params, { name: 'string' }).name));
    return true;
  },
  async bdev_lvol_delete(face, params) {
    await removeVolume(face, volumeOf(face, decode(params, { name: 'string' }).name));
    return true;
  },
};

function lettingGo(face: Face, params: unknown, inflate: boolean): Later {
  const found = volumeOf(face, decode(params, { name: 'string' }).name);
  idle(found.volume);
  found.volume.busy = true;
  return new Later(async () => {
    await letGo(face, found, inflate);
    return true;
  });
}

function volumeOf(face: Face, name: string): Found {
  const found = findVolume(face, name);
  if (found === undefined) throw errno('ENODEV');
  return found;
}

function storeOf(
  face: Face,
  by: { readonly uuid?: string | undefined; readonly lvs_name?: string | undefined },
): LvolStore {
  if ((by.uuid === undefined) === (by.lvs_name === undefined)) throw errno('EINVAL');
  const found = findStore(face, by);
  if (found === undefined) throw errno('ENODEV');
  return found;
}

function listVolumes({ record }: LvolStore): readonly object[] {
  return record.blobs.map((each) => ({
    alias: `${record.name}/${each.name}`,
    uuid: each.uuid,
    name: each.name,
    is_thin_provisioned: each.thin,
    is_snapshot: each.snapshot,
    is_clone: each.parent !== null,
    is_esnap_clone: false,
    is_degraded: false,
    lvs: { name: record.name, uuid: record.uuid },
  }));
}
