import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DpuError } from '../core/errors.ts';

const maxBytes = 65_536;

/**
 * Reads a secret from a file that nobody but its owner may read; a line end at its end is cut off.
 * @throws DpuError `not_found`, `denied` (others may read it), `invalid` (empty or too large); the file is named, its text never.
 */
export function readSecretFile(file: string): string {
  if (!existsSync(file)) throw new DpuError('not_found', `${file} is not there`);
  const descriptor = openSync(file, 'r');
  try {
    const { mode, size } = fstatSync(descriptor);
    if ((mode & 0o077) !== 0) throw new DpuError('denied', `${file} can be read by others; chmod 600 it`);
    if (size > maxBytes) throw new DpuError('invalid', `${file} is too large`);
    const text = readFileSync(descriptor, 'utf8').replace(/\r?\n$/, '');
    if (text === '') throw new DpuError('invalid', `${file} is empty`);
    return text;
  } finally {
    closeSync(descriptor);
  }
}

/** A systemd credential (`LoadCredential=`), or null where there is none of that name. */
export function readCredential(name: string, directory = process.env.CREDENTIALS_DIRECTORY): string | null {
  if (!directory) return null;
  const file = join(directory, name);
  return existsSync(file) ? readFileSync(file, 'utf8').replace(/\r?\n$/, '') : null;
}
