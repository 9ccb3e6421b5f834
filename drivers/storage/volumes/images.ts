import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { DpuError } from '../../../core/errors.ts';
import type { Image } from '../../../core/ports/volume-service.ts';
import { type ImageFormat, imageFormat } from './image-format.ts';

/** An image and where it is. */
export interface ImageFile extends Image, ImageFormat {
  readonly path: string;
  /** Changes when the file does. */
  readonly revision: string;
}

const suffix = /\.(img|raw|qcow2)$/;

/** The images of a directory: `NAME.img`, `NAME.raw` or `NAME.qcow2`, each with a `….sha256` beside it if its content is to be checked. */
export interface Images {
  /** By name or id. @throws DpuError `not_found`, `invalid` (format). */
  find(nameOrId: string): Promise<ImageFile>;
  /** Reads it through, once for each revision. @throws DpuError `invalid` when it is not what its checksum says. */
  verify(image: ImageFile, signal?: AbortSignal): Promise<void>;
}

/** Opens a directory of images, which need not be there yet. */
export function openImages(directory: string): Images {
  const verified = new Map<string, string>();
  return {
    async find(nameOrId) {
      for (const file of (await listing(directory)).sort()) {
        const name = file.replace(suffix, '');
        const id = imageId(name);
        if (!suffix.test(file) || (name !== nameOrId && id !== nameOrId)) continue;
        const path = join(directory, file);
        const { size, mtimeMs, ino } = await stat(path);
        const format = await imageFormat(path);
        return { id, name, path, revision: `${ino}.${size}.${mtimeMs}`, minSizeBytes: format.sizeBytes, ...format };
      }
      throw new DpuError('not_found', `no image ${nameOrId}`);
    },
    async verify({ name, path, revision }, signal) {
      if (verified.get(path) === revision) return;
      const wanted = await checksum(`${path}.sha256`);
      if (wanted !== undefined) {
        const hash = createHash('sha256');
        await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash, ...(signal ? [{ signal }] : []));
        if (hash.digest('hex') !== wanted) throw new DpuError('invalid', `image ${name} is not what its checksum says`);
      }
      verified.set(path, revision);
    },
  };
}

async function listing(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new DpuError('unavailable', 'the directory of images can not be read', { cause: error });
  }
}

/** The first word of a file as sha256sum(1) writes it. */
async function checksum(path: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [sum = ''] = text.trim().split(/\s+/);
  if (!/^[0-9a-f]{64}$/i.test(sum)) throw new DpuError('invalid', 'the checksum of an image is no SHA-256');
  return sum.toLowerCase();
}

/** A uuid (RFC 9562 5.8) that follows from the image's name. */
function imageId(name: string): string {
  const hex = createHash('sha256').update(`image ${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
