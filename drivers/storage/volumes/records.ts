import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DpuError } from '../../../core/errors.ts';
import type { VolumeExport } from '../../../core/ports/volume-service.ts';
import type { InstanceId, NodeId, VolumeId } from '../../../core/units.ts';

/** What is known of a volume besides its data. */
export interface VolumeRecord {
  readonly kind: 'volume';
  readonly id: VolumeId;
  readonly sizeBytes: number;
  readonly bootable: boolean;
  readonly madeFor: { readonly node: NodeId; readonly instance: InstanceId } | null;
  /** Id of the image, or of the snapshot. */
  readonly source: string | null;
  readonly exports: readonly VolumeExport[];
  /** The data is whole. Until then the volume is not there for anybody. */
  readonly ready: boolean;
  /** It is a drive: its data is no volume of the backing. */
  readonly drive?: true;
}

/** What is known of a snapshot. */
export interface SnapshotRecord {
  readonly kind: 'snapshot';
  readonly id: string;
  readonly volumeId: VolumeId;
  readonly sizeBytes: number;
  readonly bootable: boolean;
  readonly ready: boolean;
}

/** Records in a directory, a file each: they stay with the data when the daemon's own store is lost. Writes are durable when they resolve. */
export interface Records {
  volume(id: string): Promise<VolumeRecord | undefined>;
  volumes(): Promise<readonly VolumeRecord[]>;
  snapshot(id: string): Promise<SnapshotRecord | undefined>;
  snapshots(): Promise<readonly SnapshotRecord[]>;
  put(record: VolumeRecord | SnapshotRecord): Promise<void>;
  delete(record: VolumeRecord | SnapshotRecord): Promise<void>;
}

/** Ids become file names. @throws DpuError `invalid` for what no id of ours or of a platform is. */
export function checkId(id: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(id))
    throw new DpuError('invalid', 'this is no id of a volume or snapshot');
}

/** Opens the records of a directory, which need not be there yet. */
export function openRecords(directory: string): Records {
  const file = (kind: string, id: string): string => join(directory, `${id}.${kind}.json`);

  async function read<Kind extends VolumeRecord | SnapshotRecord>(path: string): Promise<Kind | undefined> {
    try {
      return JSON.parse(await readFile(path, 'utf8')) as Kind;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new DpuError('internal', 'a record of the volume service can not be read', { cause: error });
    }
  }

  async function all<Kind extends VolumeRecord | SnapshotRecord>(kind: Kind['kind']): Promise<readonly Kind[]> {
    let names: string[];
    try {
      names = await readdir(directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw new DpuError('unavailable', 'the directory of volumes can not be read', { cause: error });
    }
    const found = names.filter((name) => name.endsWith(`.${kind}.json`)).sort();
    const records = await Promise.all(found.map((name) => read<Kind>(join(directory, name))));
    return records.filter((record) => record !== undefined);
  }

  return {
    volume: async (id) => await read<VolumeRecord>(file('volume', id)),
    volumes: () => all<VolumeRecord>('volume'),
    snapshot: async (id) => await read<SnapshotRecord>(file('snapshot', id)),
    snapshots: () => all<SnapshotRecord>('snapshot'),
    async put(record) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const path = file(record.kind, record.id);
      const next = await open(`${path}.new`, 'w', 0o600);
      try {
        await next.writeFile(`${JSON.stringify(record)}\n`);
        await next.sync();
      } finally {
        await next.close();
      }
      await rename(`${path}.new`, path);
      await syncDirectory(directory);
    },
    async delete(record) {
      await rm(file(record.kind, record.id), { force: true });
      await syncDirectory(directory);
    },
  };
}

/** Makes names that came and went durable (fsync(2)). */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
