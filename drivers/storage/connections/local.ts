import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, resolve, sep } from 'node:path';
import { aio, createIfAbsent, findBdev } from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { Backend, ConnectionContext } from './backend.ts';
import { textOf, wrong } from './fields.ts';

/**
 * A volume on this machine: `path` (a file or block device), `lvol` (`store/name` or uuid of SPDK's own) or `bdev` (one that is there and that
 * others look after). @throws DpuError `invalid`.
 */
export function localBackend(data: JsonObject, context: ConnectionContext): Backend {
  const path = textOf(data, 'path') ?? textOf(data, 'device_path');
  if (path !== undefined) return fileBackend(path, context);
  const lvol = textOf(data, 'lvol');
  const name = lvol ?? textOf(data, 'bdev');
  if (name === undefined) throw wrong('path', 'is missing, and so are lvol and bdev');
  return {
    kind: lvol === undefined ? 'bdev' : 'lvol',
    name,
    async open(spdk, options) {
      const found = await findBdev(spdk, name, options);
      if (!found) throw new DpuError('unavailable', `the target has no block device of volume ${context.volumeId}`);
      return found;
    },
  };
}

function fileBackend(path: string, context: ConnectionContext): Backend {
  if (!isAbsolute(path)) throw wrong('path', 'is not absolute');
  // readers and a writer have a bdev each: a file that may not be written can still be read
  const name = `vol-${context.volumeId}${context.readOnly ? '-ro' : ''}`;
  return {
    kind: 'aio',
    name,
    async open(spdk, options) {
      const filename = await allowed(path, context);
      await createIfAbsent(
        () => spdk.call(aio.create, { name, filename, block_size: 512, readonly: context.readOnly }, options),
        () => findBdev(spdk, name, options),
      );
      const found = await findBdev(spdk, name, options);
      if (!found) throw new DpuError('hardware', `the block device of volume ${context.volumeId} went away`);
      return found;
    },
  };
}

/** The real path of a file that lies where volumes may. */
async function allowed(path: string, { localDirs, volumeId }: ConnectionContext): Promise<string> {
  let real: string;
  try {
    real = await realpath(path);
  } catch (cause) {
    throw new DpuError('unavailable', `the file of volume ${volumeId} is not there`, { cause });
  }
  const inside = (await localDirs()).some(
    (dir) => real.startsWith(`${resolve(dir)}${sep}`) || dirname(real) === resolve(dir),
  );
  if (!inside) throw wrong('path', 'is not in a directory for volumes');
  return real;
}
