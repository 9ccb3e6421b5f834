import { open } from 'node:fs/promises';
import { DpuError } from '../../../core/errors.ts';
import type { Wipe } from '../../../core/operation/inputs.ts';
import { exec } from '../../../kit/exec.ts';

const pieceBytes = 1024 * 1024;
const discardMs = 600_000;

/**
 * Makes what a file holds unreadable: `zero` writes over all that is not zero already (holes stay holes), `discard` gives its blocks back to the
 * file system (fallocate(2), FALLOC_FL_PUNCH_HOLE). On the disk when it resolves. @throws DpuError `unsupported` (a file system without holes).
 */
export async function wipeFile(path: string, wipe: Exclude<Wipe, 'none'>, signal?: AbortSignal): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    if (wipe === 'discard') await punch(path, size, signal);
    else {
      const piece = Buffer.alloc(pieceBytes);
      const zeros = Buffer.alloc(pieceBytes);
      for (let at = 0; at < size; at += pieceBytes) {
        signal?.throwIfAborted();
        const { bytesRead } = await file.read(piece, 0, pieceBytes, at);
        if (piece.compare(zeros, 0, bytesRead, 0, bytesRead) !== 0) await file.write(zeros, 0, bytesRead, at);
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function punch(path: string, size: number, signal?: AbortSignal): Promise<void> {
  if (size === 0) return;
  const args = ['--punch-hole', '--offset', '0', '--length', String(size), path];
  const { code, stderr } = await exec('fallocate', args, { timeoutMs: discardMs, signal, env: { LC_ALL: 'C' } });
  if (code === 0) return;
  if (/not supported/i.test(stderr)) throw new DpuError('unsupported', 'this file system can not discard');
  throw new DpuError('internal', 'discarding a volume failed', { cause: new Error(stderr.trim().slice(-500)) });
}
