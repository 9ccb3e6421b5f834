import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DpuError } from '../core/errors.ts';

const maxBytes = 65_536;

/**
 * Reads a secret from a file that nobody but its owner may read; a line end at its end is cut off.
 * @throws DpuError `not_found`, `denied` (others may read it, or we may not), `invalid` (no file, empty or too large); the
 * file is named, its text never.
 */
export function readSecretFile(file: string): string {
  return readText(file, (mode) => {
    if ((mode & 0o077) !== 0) throw new DpuError('denied', `${file} can be read by others; chmod 600 it`);
  });
}

/**
 * A systemd credential (`LoadCredential=`), or null where there is none of that name. Its mode is systemd's business: where
 * the service has a user of its own, that one reads it by an access list.
 * @throws DpuError `denied` (we may not read it), `invalid` (no file, empty or too large).
 */
export function readCredential(name: string, directory = process.env.CREDENTIALS_DIRECTORY): string | null {
  if (!directory) return null;
  const file = join(directory, name);
  return existsSync(file) ? readText(file, () => {}) : null;
}

function readText(file: string, checkMode: (mode: number) => void): string {
  if (!existsSync(file)) throw new DpuError('not_found', `${file} is not there`);
  const descriptor = open(file);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new DpuError('invalid', `${file} is not a file`);
    checkMode(stat.mode);
    if (stat.size > maxBytes) throw new DpuError('invalid', `${file} is too large`);
    const text = readFileSync(descriptor, 'utf8').replace(/\r?\n$/, '');
    if (text === '') throw new DpuError('invalid', `${file} is empty`);
    return text;
  } finally {
    closeSync(descriptor);
  }
}

/** Does not wait for the other end of a pipe. */
function open(file: string): number {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new DpuError('denied', `${file} can't be opened`, { cause });
  }
}
