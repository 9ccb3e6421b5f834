import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bdev } from './bdevs.ts';
import type { Face } from './face.ts';
import { errno } from './rpc-error.ts';
import { closeVolume, openVolume, type Volume } from './volume.ts';

/** A volume, snapshot or clone as the store's file tells of it. */
export interface Blob {
  readonly uuid: string;
  readonly name: string;
  /** Its qcow2 file in the store's directory. */
  readonly file: string;
  /** The snapshot it lies on. */
  readonly parent: string | null;
  readonly sizeBytes: number;
  readonly thin: boolean;
  readonly snapshot: boolean;
  readonly readOnly: boolean;
  /** What the file occupied when it was empty. */
  readonly emptyBytes: number;
}

/** What is on disk of a store. */
export interface StoreRecord {
  readonly version: 1;
  readonly uuid: string;
  readonly name: string;
  readonly clusterSize: number;
  readonly blobs: readonly Blob[];
}

/** A store of logical volumes that is open. */
export interface LvolStore {
  record: StoreRecord;
  readonly base: Bdev;
  readonly dir: string;
  /** By the blob's uuid. */
  readonly volumes: Map<string, Volume>;
  /** Takes back the base's claim. */
  readonly release: () => void;
}

/** SPDK's default (lib/lvol: SPDK_LVS_OPTS_CLUSTER_SZ). */
const CLUSTER_SIZE = 4 * 1024 * 1024;

/** Before the store's uuid, at the beginning of the bdev that it lies on. */
const MARK = 'vdpu-lvol-store:';
const MARK_BYTES = MARK.length + 36;

/**
 * Makes a store on a bdev that is a file. The volumes are qcow2 files in a directory of the face; the bdev itself only says that
 * the store is there, and how large it may be.
 * @throws RpcError
 */
export async function createStore(
  face: Face,
  base: Bdev,
  name: string,
  clusterSize = CLUSTER_SIZE,
): Promise<LvolStore> {
  if (findStore(face, { lvs_name: name }) !== undefined) throw errno('EEXIST');
  if (base.file === undefined) throw errno('EOPNOTSUPP');
  if (base.claimedBy !== null || base.readOnly) throw errno('EPERM');
  if (clusterSize % 4096 !== 0 || clusterSize < 8192 || dataClusters(base.sizeBytes, clusterSize) < 1) {
    throw errno('EINVAL');
  }
  const record: StoreRecord = { version: 1, uuid: randomUUID(), name, clusterSize, blobs: [] };
  await mkdir(join(face.settings.lvolDir, record.uuid), { recursive: true, mode: 0o700 });
  const store = claim(face, base, record);
  await keep(store, record);
  await mark(base.file, record.uuid);
  return store;
}

/** Looks whether a store lies on a bdev, and opens it with all its volumes. */
export async function examine(face: Face, base: Bdev): Promise<void> {
  if (base.file === undefined || base.claimedBy !== null || base.readOnly) return;
  const uuid = await marked(base.file);
  if (uuid === undefined || face.stores.has(uuid)) return;
  const dir = join(face.settings.lvolDir, uuid);
  let record: StoreRecord;
  try {
    record = JSON.parse(await readFile(join(dir, 'store.json'), 'utf8')) as StoreRecord;
  } catch (error) {
    face.log.warn('a bdev bears the mark of an lvol store that is not here', { bdev: base.name, store: uuid, error });
    return;
  }
  if (findStore(face, { lvs_name: record.name }) !== undefined) return;
  const store = claim(face, base, record);
  const files = new Set(['store.json', ...record.blobs.map((each) => each.file)]);
  for (const file of await readdir(dir)) if (!files.has(file)) await rm(join(dir, file), { force: true });
  for (const blob of parentsFirst(record.blobs)) await openVolume(face, store, blob);
}

/** Writes what the store is now; it is so from then on. */
export async function keep(store: LvolStore, record: StoreRecord): Promise<void> {
  const file = join(store.dir, 'store.json');
  await writeFile(`${file}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  store.record = record;
}

/** Closes a store with its volumes; they stay on disk. */
export async function closeStore(face: Face, store: LvolStore): Promise<void> {
  for (const blob of parentsFirst(store.record.blobs).reverse()) await closeVolume(face, store, blob.uuid);
  face.stores.delete(store.record.uuid);
  store.release();
}

/** Removes a store with all that is in it. */
export async function deleteStore(face: Face, store: LvolStore): Promise<void> {
  await closeStore(face, store);
  if (store.base.file !== undefined) await mark(store.base.file, null);
  await rm(store.dir, { recursive: true, force: true });
}

/** A store by one of its names. */
export function findStore(
  face: Face,
  by: { readonly uuid?: string | undefined; readonly lvs_name?: string | undefined },
): LvolStore | undefined {
  if (by.uuid !== undefined) return face.stores.get(by.uuid.toLowerCase());
  return [...face.stores.values()].find((each) => each.record.name === by.lvs_name);
}

/** A store as `bdev_lvol_get_lvstores` shows it. */
export async function describeStore(store: LvolStore): Promise<object> {
  const { uuid, name, clusterSize } = store.record;
  const total = dataClusters(store.base.sizeBytes, clusterSize);
  return {
    uuid,
    name,
    base_bdev: store.base.name,
    total_data_clusters: total,
    free_clusters: Math.max(0, total - (await usedClusters(store))),
    block_size: store.base.blockSize,
    cluster_size: clusterSize,
  };
}

/** @throws RpcError `ENOSPC` (-32602) when a thick volume of so many more bytes has no room. */
export async function checkRoom(store: LvolStore, moreBytes: number): Promise<void> {
  const total = dataClusters(store.base.sizeBytes, store.record.clusterSize);
  const wanted = Math.ceil(moreBytes / store.record.clusterSize);
  if ((await usedClusters(store)) + wanted > total) throw errno('ENOSPC', -32602);
}

async function usedClusters(store: LvolStore): Promise<number> {
  let used = 0;
  for (const blob of store.record.blobs) {
    if (!blob.thin) used += Math.ceil(blob.sizeBytes / store.record.clusterSize);
    else {
      const { blocks } = await stat(join(store.dir, blob.file));
      used += Math.max(0, Math.floor((blocks * 512 - blob.emptyBytes) / store.record.clusterSize));
    }
  }
  return used;
}

/** Clusters for data: what is left of metadata, a page of 4 KiB for each cluster and a few more (lib/blob/blobstore.c: spdk_bs_init). */
function dataClusters(bytes: number, clusterSize: number): number {
  const clusters = Math.floor(bytes / clusterSize);
  const bitmaps = 3 * (1 + Math.floor(clusters / (8 * 4096)));
  return clusters - Math.ceil(((1 + bitmaps + clusters) * 4096) / clusterSize);
}

function claim(face: Face, base: Bdev, record: StoreRecord): LvolStore {
  const store: LvolStore = {
    record,
    base,
    dir: join(face.settings.lvolDir, record.uuid),
    volumes: new Map(),
    release: () => {
      base.claimedBy = null;
      base.onRemove.delete(onRemove);
    },
  };
  const onRemove = () => closeStore(face, store);
  base.claimedBy = 'lvol';
  base.onRemove.add(onRemove);
  face.stores.set(record.uuid, store);
  return store;
}

function parentsFirst(blobs: readonly Blob[]): Blob[] {
  const byUuid = new Map(blobs.map((each) => [each.uuid, each]));
  const ordered = new Set<Blob>();
  const take = (blob: Blob): void => {
    const parent = blob.parent === null ? undefined : byUuid.get(blob.parent);
    if (parent !== undefined && !ordered.has(parent)) take(parent);
    ordered.add(blob);
  };
  for (const blob of blobs) take(blob);
  return [...ordered];
}

async function mark(file: string, uuid: string | null): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(uuid === null ? Buffer.alloc(MARK_BYTES) : Buffer.from(`${MARK}${uuid}`), 0, MARK_BYTES, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function marked(file: string): Promise<string | undefined> {
  const handle = await open(file, 'r');
  try {
    const bytes = Buffer.alloc(MARK_BYTES);
    await handle.read(bytes, 0, MARK_BYTES, 0);
    const text = bytes.toString('latin1');
    return /^vdpu-lvol-store:[0-9a-f-]{36}$/.test(text) ? text.slice(MARK.length) : undefined;
  } finally {
    await handle.close();
  }
}
