import { constants, copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DpuError } from '../../../core/errors.ts';
import { exec } from '../../../kit/exec.ts';
import type { Backing } from './backing.ts';
import { runImageTool } from './image-tool.ts';
import { wipeFile } from './wipe-file.ts';

/** Copies of large images take their time. */
const copyMs = 3_600_000;

/** Volumes as sparse raw files of a directory; copies share their blocks where the file system can (reflinks). */
export function fileBacking(directory: string): Backing {
  const volume = (id: string): string => join(directory, `${id}.raw`);
  const snapshotFile = (id: string): string => join(directory, `${id}.snapshot`);

  /** Fills a new file beside its place and moves it there when it is whole. */
  async function make(path: string, sizeBytes: number, fill: (part: string) => Promise<void>): Promise<void> {
    if (await sizeOf(path)) return;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const part = `${path}.part`;
    try {
      await rm(part, { force: true });
      await fill(part);
      await setSize(part, sizeBytes);
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true });
      throw outOfSpace(error);
    }
  }

  return {
    fromImage: (id, image, sizeBytes, signal) =>
      make(volume(id), sizeBytes, (part) =>
        image.format === 'raw'
          ? copy(image.path, part, signal)
          : runImageTool(['convert', '-f', 'qcow2', '-O', 'raw', '-S', '4k', image.path, part], signal),
      ),
    fromSnapshot: (id, snapshot, sizeBytes, signal) =>
      make(volume(id), sizeBytes, (part) => copy(snapshotFile(snapshot), part, signal)),
    blank: (id, sizeBytes) => make(volume(id), sizeBytes, async (part) => (await open(part, 'wx', 0o600)).close()),
    async remove(id, wipe, signal) {
      if (wipe !== 'none' && (await sizeOf(volume(id))) !== undefined) await wipeFile(volume(id), wipe, signal);
      await rm(volume(id), { force: true });
    },
    async snapshot(id, snapshot, written, signal) {
      const source = volume(id);
      await make(snapshotFile(snapshot), (await sizeOf(source)) ?? 0, (part) =>
        written ? reflink(source, part) : copy(source, part, signal),
      );
    },
    removeSnapshot: (snapshot) => rm(snapshotFile(snapshot), { force: true }),
    async grow(id, sizeBytes) {
      if (((await sizeOf(volume(id))) ?? 0) < sizeBytes) await setSize(volume(id), sizeBytes);
    },
    connection: (id, sizeBytes) => ({ protocol: 'local', data: { path: volume(id), size_bytes: sizeBytes } }),
  };
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function setSize(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(sizeBytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function copy(from: string, to: string, signal?: AbortSignal): Promise<void> {
  const args = ['--reflink=auto', '--sparse=always', '--', from, to];
  const { code, stderr } = await exec('cp', args, { timeoutMs: copyMs, signal });
  if (code === 0) return;
  if (/No space left|Disk quota/.test(stderr)) throw new DpuError('exhausted', 'there is no room for a volume');
  throw new DpuError('internal', 'copying a volume failed');
}

/** A copy in one moment, which a file system with reflinks can make under a writer. */
async function reflink(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
  } catch (cause) {
    throw new DpuError(
      'unsupported',
      'a snapshot of a volume in use needs an lvol store, or a file system with reflinks',
      { cause },
    );
  }
}

function outOfSpace(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new DpuError('exhausted', 'there is no room for a volume', { cause: error });
}
