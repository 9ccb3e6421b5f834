import { randomUUID } from 'node:crypto';
import { rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Face, Method } from '../face.ts';
import { openFile } from '../file-bdev.ts';
import { examine } from '../lvol-store.ts';
import { decode, decodeOptional } from '../params.ts';
import { openRbd } from '../rbd.ts';
import { resizeBdev } from '../resize.ts';
import { errno, errnoOf, RPC, RpcError } from '../rpc-error.ts';

const MIB = 1024 * 1024;
const NAMED = { name: 'string' } as const;

/** Methods of the modules that bring bdevs: memory, files and Ceph images. */
export const moduleMethods: Readonly<Record<string, Method>> = {
  async bdev_malloc_create(face, params) {
    const given = decode(params, {
      name: 'string?',
      uuid: 'uuid?',
      num_blocks: 'uint64',
      block_size: 'uint32',
      optimal_io_boundary: 'uint32?',
      md_size: 'uint32?',
      md_interleave: 'bool?',
      dif_type: 'int32?',
      dif_is_head_of_md: 'bool?',
    });
    const name = given.name ?? freeName(face, 'Malloc');
    const { num_blocks: blocks, block_size: blockSize } = given;
    if (blocks === 0 || blockSize === 0 || blockSize % 512 !== 0) throw errno('EINVAL');
    if (face.bdevs.find(name) !== undefined) throw errno('ENOMEM'); // as recorded, for a name that is taken
    const filename = join(face.settings.runDir, `malloc-${randomUUID()}.img`);
    try {
      await writeFile(filename, '', { mode: 0o600 });
      await truncate(filename, blocks * blockSize);
    } catch {
      await rm(filename, { force: true });
      throw errno('ENOMEM');
    }
    await openFile(face, {
      name,
      ...(given.uuid !== undefined && { uuid: given.uuid }),
      filename,
      module: 'malloc',
      productName: 'Malloc disk',
      blockSize,
      readOnly: false,
      ioTypes: ['read', 'write', 'unmap', 'write_zeroes', 'flush', 'reset', 'abort'],
      driverSpecific: () => ({}),
      config: { method: 'bdev_malloc_create', params: { name, num_blocks: blocks, block_size: blockSize } },
      after: () => rm(filename, { force: true }),
    });
    return name;
  },
  bdev_malloc_delete: (face, params) => remove(face, params, 'malloc'),

  async bdev_aio_create(face, params) {
    const given = decode(params, {
      name: 'string',
      filename: 'string',
      block_size: 'uint32?',
      readonly: 'bool?',
      fallocate: 'bool?',
    });
    const { name, filename, readonly: readOnly = false } = given;
    // 0 leaves it to the file, and the kernel's st_blksize is not what a guest should see
    const blockSize = given.block_size === undefined || given.block_size === 0 ? 512 : given.block_size;
    if (blockSize < 512 || (blockSize & (blockSize - 1)) !== 0) throw errno('EINVAL');
    if (face.bdevs.find(name) !== undefined) throw errno('EEXIST');
    const bdev = await openFile(face, {
      name,
      filename,
      module: 'aio',
      productName: 'AIO disk',
      blockSize,
      readOnly,
      ioTypes: ['read', 'write', 'flush', 'reset', ...(given.fallocate ? (['unmap', 'write_zeroes'] as const) : [])],
      driverSpecific: () => ({
        aio: {
          filename,
          block_size_override: given.block_size !== undefined && given.block_size !== 0,
          readonly: readOnly,
          fallocate: given.fallocate ?? false,
        },
      }),
      config: { method: 'bdev_aio_create', params: { ...given, block_size: blockSize } },
    });
    await examine(face, bdev);
    return name;
  },
  async bdev_aio_rescan(face, params) {
    const { name } = decode(params, NAMED);
    const bdev = face.bdevs.find(name);
    if (bdev?.module !== 'aio' || bdev.file === undefined) throw errno('ENODEV');
    const { size } = await stat(bdev.file).catch((error: unknown) => {
      throw errnoOf(error);
    });
    const whole = size - (size % bdev.blockSize);
    if (whole !== bdev.sizeBytes) await resizeBdev(face, bdev, whole);
    return true;
  },
  bdev_aio_delete: (face, params) => remove(face, params, 'aio'),

  bdev_rbd_register_cluster(face, params) {
    const given = decode(params, {
      name: 'string?',
      user_id: 'string?',
      config_param: 'strings?',
      config_file: 'string?',
      key_file: 'string?',
      core_mask: 'string?',
    });
    if (given.name === undefined || face.rbdClusters.has(given.name)) throw new RpcError(-1, 'Operation not permitted');
    const { name, user_id, config_param, config_file, key_file, core_mask } = given;
    face.rbdClusters.set(name, { name, user_id, config_param, config_file, key_file, core_mask });
    return name;
  },
  bdev_rbd_unregister_cluster(face, params) {
    const { name } = decode(params, NAMED);
    const inUse = face.bdevs.all().some((each) => each.module === 'rbd' && clusterOf(each.config?.params) === name);
    if (inUse || !face.rbdClusters.delete(name)) throw new RpcError(-1, 'Operation not permitted');
    return true;
  },
  bdev_rbd_get_clusters_info(face, params) {
    const { name } = decodeOptional(params, { name: 'string?' });
    const known = [...face.rbdClusters.values()].map(({ name: cluster_name, user_id, config_file, key_file }) => ({
      cluster_name,
      ...(user_id !== undefined && { user_id }),
      ...(config_file !== undefined && { config_file }),
      ...(key_file !== undefined && { key_file }),
    }));
    if (name === undefined) return known;
    const found = known.find((each) => each.cluster_name === name);
    if (found === undefined) throw errno('ENOENT');
    return found;
  },
  async bdev_rbd_create(face, params) {
    const given = decode(params, {
      name: 'string?',
      user_id: 'string?',
      pool_name: 'string',
      rbd_name: 'string',
      block_size: 'uint32',
      config: 'strings?',
      cluster_name: 'string?',
      uuid: 'uuid?',
    });
    if (given.block_size < 512 || given.block_size % 512 !== 0) throw errno('EINVAL');
    const name = given.name ?? freeName(face, 'Ceph');
    if (face.bdevs.find(name) !== undefined) throw errno('EEXIST');
    const { cluster_name: shared } = given;
    const cluster =
      shared === undefined
        ? {
            name: '',
            user_id: given.user_id,
            config_param: given.config,
            config_file: undefined,
            key_file: undefined,
            core_mask: undefined,
          }
        : face.rbdClusters.get(shared);
    if (cluster === undefined) throw new RpcError(-1, 'Operation not permitted');
    await openRbd(face, {
      name,
      pool: given.pool_name,
      image: given.rbd_name,
      blockSize: given.block_size,
      uuid: given.uuid,
      cluster,
      shared: shared !== undefined,
    });
    return name;
  },
  bdev_rbd_delete: (face, params) => remove(face, params, 'rbd'),
  async bdev_rbd_resize(face, params) {
    const { name, new_size: mib } = decode(params, { name: 'string', new_size: 'uint64' });
    const bdev = face.bdevs.find(name);
    if (bdev?.module !== 'rbd') throw errno('EINVAL');
    if (mib * MIB < bdev.sizeBytes) throw errno('EINVAL');
    await resizeBdev(face, bdev, mib * MIB);
    return true;
  },
};

/** Takes a bdev of a module away, under whoever uses it. */
async function remove(face: Face, params: unknown, module: string): Promise<true> {
  const { name } = decode(params, NAMED);
  const bdev = face.bdevs.find(name);
  if (bdev?.module !== module) throw errno('ENODEV');
  await face.bdevs.remove(bdev);
  return true;
}

function freeName(face: Face, prefix: string): string {
  let index = 0;
  while (face.bdevs.find(`${prefix}${index}`) !== undefined) index += 1;
  return `${prefix}${index}`;
}

function clusterOf(params: object | undefined): unknown {
  return params !== undefined && 'cluster_name' in params ? params.cluster_name : undefined;
}

/** What methods that take no parameters say to some. @throws RpcError -32602 */
export function refuseParams(method: string, params: unknown): void {
  if (params !== undefined) throw new RpcError(RPC.invalidParams, `${method} method requires no parameters`);
}
