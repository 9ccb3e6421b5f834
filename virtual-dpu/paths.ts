import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';

/** The longest path of a unix socket in bytes: sun_path holds 108 with its NUL (unix(7)). */
export const MAX_SOCKET_PATH = 107;

/** The longest path of a state directory in bytes: what is bound below it has up to 35 more. */
export const MAX_STATE_DIR = MAX_SOCKET_PATH - 35;

/** A unix socket's path, as it came. @throws DpuError `invalid` when the kernel could not bind it. */
export function socketPath(...parts: readonly string[]): string {
  const path = join(...parts);
  const length = Buffer.byteLength(path);
  if (length > MAX_SOCKET_PATH) {
    throw new DpuError(
      'invalid',
      `${path} is ${length} bytes long and a unix socket's path at most ${MAX_SOCKET_PATH}: use a state directory with a shorter path`,
    );
  }
  return path;
}

/** The name of the virtual DPU of a state directory, the same each time: `vdpu-` and 8 hex digits. */
export function nameOf(stateDir: string): string {
  return `vdpu-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
}

/** Where pid files and sockets are. */
export function runDir(stateDir: string): string {
  return join(stateDir, 'run');
}

/** Where the programs' own output goes. */
export function logDir(stateDir: string): string {
  return join(stateDir, 'log');
}

/** Where the description of a virtual DPU that is up is: see `VirtualDpu`. */
export function descriptionFile(stateDir: string): string {
  return join(stateDir, 'virtual-dpu.json');
}

/**
 * Makes a state directory with what every part expects in it, for this user alone; answers its real path. May be called twice.
 * @throws DpuError `invalid` for one whose sockets could not be bound.
 */
export async function makeStateDir(stateDir: string): Promise<string> {
  checkStateDir(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const dir = await realpath(stateDir);
  checkStateDir(dir);
  await mkdir(runDir(dir), { recursive: true, mode: 0o700 });
  await mkdir(logDir(dir), { recursive: true, mode: 0o700 });
  return dir;
}

/** @throws DpuError `invalid` for a state directory whose sockets could not be bound. */
export function checkStateDir(stateDir: string): void {
  const length = Buffer.byteLength(resolve(stateDir));
  if (length <= MAX_STATE_DIR) return;
  throw new DpuError(
    'invalid',
    `${stateDir} is ${length} bytes long, and a state directory's path at most ${MAX_STATE_DIR}: sockets in it must stay below ${MAX_SOCKET_PATH}`,
  );
}

/** The real path of a state directory; undefined when there is none, or none that anything can have been up in. */
export async function stateDirOf(stateDir: string): Promise<string | undefined> {
  try {
    const dir = await realpath(stateDir);
    return Buffer.byteLength(dir) > MAX_STATE_DIR ? undefined : dir;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
