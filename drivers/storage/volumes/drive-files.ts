import { mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { DpuError } from '../../../core/errors.ts';
import type { VolumeConnection } from '../../../core/ports/storage-target.ts';
import type { DriveSpec } from '../../../core/ports/volume-service.ts';
import { exec } from '../../../kit/exec.ts';
import { wipeFile } from './wipe-file.ts';

/** Bytes of every drive: one that is in use may get other files, and never another size. */
export const driveBytes = 8 * 1024 * 1024;

const toolMs = 30_000;

/** The data of drives, whatever local volumes lie in: a file of mode 0600 for each. */
export interface DriveFiles {
  /** Makes it, or writes new content into the file that is there: who has it open sees that. */
  write(spec: Pick<DriveSpec, 'id' | 'label' | 'files'>, signal?: AbortSignal): Promise<void>;
  /** Writes it over, then removes it. One that is not there is fine. */
  remove(id: string): Promise<void>;
  connection(id: string): VolumeConnection;
}

/** Drives in a directory. Their files are put together in memory (tmpfs) where there is such a place. */
export function driveFilesIn(directory: string): DriveFiles {
  const file = (id: string): string => join(directory, `${id}.drive`);
  return {
    async write({ id, label, files }, signal) {
      const content = await isoOf(label, files, signal);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const path = file(id);
      if ((await sizeOf(path)) === driveBytes) return await fill(path, 'r+', content);
      const part = `${path}.part`;
      await rm(part, { force: true });
      await fill(part, 'wx', content);
      await rename(part, path);
    },
    async remove(id) {
      for (const path of [`${file(id)}.part`, file(id)]) {
        if ((await sizeOf(path)) !== undefined) await wipeFile(path, 'zero');
        await rm(path, { force: true });
      }
    },
    connection: (id) => ({ protocol: 'local', data: { path: file(id), size_bytes: driveBytes } }),
  };
}

async function fill(path: string, flags: 'r+' | 'wx', content: Buffer): Promise<void> {
  const handle = await open(path, flags, 0o600);
  try {
    await handle.write(content, 0, content.length, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** An iso9660 file system with these files, filled up to a drive's size. */
async function isoOf(label: string, files: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Buffer> {
  const scratch = await mkdtemp(join(await memory(), 'dpu-drive-'));
  try {
    const root = join(scratch, 'root');
    await mkdir(root);
    for (const [name, text] of Object.entries(files)) {
      const path = join(root, normalize(name));
      if (!path.startsWith(`${root}/`)) throw new DpuError('internal', 'a file of a drive lies outside of it');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { mode: 0o600 });
    }
    const iso = join(scratch, 'iso');
    const { code, stderr } = await exec(
      'xorriso',
      ['-as', 'genisoimage', '-quiet', '-V', label, '-J', '-r', '-o', iso, root],
      { timeoutMs: toolMs, signal },
    );
    if (code !== 0) {
      throw new DpuError('internal', 'a drive could not be made', { cause: new Error(stderr.trim().slice(-500)) });
    }
    const made = await readFile(iso);
    if (made.length > driveBytes) throw new DpuError('invalid', 'this does not fit a drive', { field: 'files' });
    return Buffer.concat([made, Buffer.alloc(driveBytes - made.length)]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function memory(): Promise<string> {
  const found = await stat('/dev/shm').catch(() => undefined); // not everywhere
  return found?.isDirectory() ? '/dev/shm' : tmpdir();
}
