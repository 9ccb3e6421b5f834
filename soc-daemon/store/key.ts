import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DpuError } from '../../core/errors.ts';

/** Where the store's key may come from. */
export interface StoreKeyOptions {
  /** A file of 32 raw bytes, or their 64 hexadecimal digits; readable by its owner alone. */
  readonly keyFile?: string;
  /** Holds `store.key`, made at first start where there is neither a credential nor a key file. */
  readonly stateDir: string;
  /** systemd's `$CREDENTIALS_DIRECTORY`, where `store-key` may lie. */
  readonly credentialsDirectory?: string | undefined;
  /** Whether there is no store yet, so that a key may be made; a store whose key is lost gets none. `true` unless told. */
  readonly firstStart?: boolean;
}

/**
 * The key that the store's secrets are sealed with: systemd's credential, else the key file, else one made in the state
 * directory.
 * @throws DpuError `denied` (others may read it), `invalid` (not a key), `not_found` (key file is missing, or the key of a store that is there).
 */
export function loadStoreKey(options: StoreKeyOptions): Buffer {
  const { keyFile, stateDir, credentialsDirectory = process.env.CREDENTIALS_DIRECTORY } = options;
  if (credentialsDirectory) {
    const credential = join(credentialsDirectory, 'store-key');
    if (existsSync(credential)) return readKey(credential);
  }
  if (keyFile !== undefined) {
    if (!existsSync(keyFile)) throw new DpuError('not_found', `the store's key file ${keyFile} is not there`);
    return readPrivateKey(keyFile);
  }
  const own = join(stateDir, 'store.key');
  if (!existsSync(own)) {
    if (options.firstStart === false) throw new DpuError('not_found', `the key ${own} of the store beside it is lost`);
    makeKey(own);
  }
  return readPrivateKey(own);
}

function readPrivateKey(file: string): Buffer {
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new DpuError('denied', `the store's key file ${file} may be read by others: chmod 0600 it`);
  }
  return readKey(file);
}

function readKey(file: string): Buffer {
  const bytes = readFileSync(file);
  if (bytes.length === 32) return bytes;
  const text = bytes.toString('latin1').trim();
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  throw new DpuError('invalid', `the store's key in ${file} must be 32 bytes or 64 hexadecimal digits`);
}

/** Under its name only once it is whole: a start that is killed here leaves no half key, and of two the first makes it. */
function makeKey(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const whole = `${file}.${process.pid}`;
  rmSync(whole, { force: true });
  const handle = openSync(whole, 'wx', 0o600);
  try {
    writeSync(handle, `${randomBytes(32).toString('hex')}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  try {
    linkSync(whole, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(whole);
  }
  const directory = openSync(dirname(file), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
