import { rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { DpuError } from '../../core/errors.ts';

/** Longest path of a unix socket in bytes (`sun_path` of unix(7) less its ending zero). */
export const maxSocketPath = 107;

/**
 * Makes room for a socket: one that nobody listens on any more is removed.
 * @throws DpuError `invalid` for a path that is too long, `conflict` when somebody listens there, or something else is there.
 */
export async function requireFreeSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > maxSocketPath) {
    throw new DpuError('invalid', `the socket's path ${path} is longer than ${maxSocketPath} bytes`, {
      field: 'socket',
    });
  }
  const there = statSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new DpuError('conflict', `${path} is there and is no socket`, { field: 'socket' });
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    // a full backlog or missing rights do not mean that nobody listens
    probe.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
  if (answered) throw new DpuError('conflict', `another program listens on ${path}`, { field: 'socket' });
  rmSync(path, { force: true });
}
