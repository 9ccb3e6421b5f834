import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { DpuError } from '../../core/errors.ts';
import type { OperationKind } from '../../core/instance-state.ts';
import type { Finding } from './health.ts';

/** Where the state is, and what space is too little. */
export interface DiskLimits {
  readonly directory: string;
  readonly lowMib: number;
  readonly fullMib: number;
}

/** What keeps the store from running into a full disk. */
export interface DiskWatch {
  look(): Promise<Finding>;
  /**
   * Refuses an operation of this kind while there is too little space for its journal; what ends things is always let through.
   * @throws DpuError `exhausted` (full), `unavailable` (read-only).
   */
  admit(kind: OperationKind): Promise<void>;
}

/** A file system with fewer free inodes counts as full: SQLite makes files beside its own. */
const leastInodes = 64;

const endings: readonly OperationKind[] = ['destroy', 'stop', 'detach_volume', 'detach_interface'];

/** Watches the file system of the state directory. */
export function watchDisk({ directory, lowMib, fullMib }: DiskLimits): DiskWatch {
  async function look(): Promise<Finding> {
    try {
      await access(directory, constants.W_OK);
      const { bavail, bsize, files, ffree } = await statfs(directory);
      const freeMib = Math.floor((bavail * bsize) / 1024 ** 2);
      const isShort = files > 0 && ffree < leastInodes;
      const found = isShort ? `${ffree} inodes are free on ${directory}` : `${freeMib} MiB are free on ${directory}`;
      if (isShort || freeMib < fullMib) return { check: 'disk', state: 'fail', id: 'disk-full', found };
      if (freeMib < lowMib) return { check: 'disk', state: 'warn', id: 'disk-low', found };
      return { check: 'disk', state: 'ok', found };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const isReadOnly = code === 'EROFS' || code === 'EACCES';
      if (!isReadOnly) return { check: 'disk', state: 'unknown', found: `${directory} can't be looked at (${code})` };
      return { check: 'disk', state: 'fail', id: 'disk-read-only', found: `${directory} takes no writes (${code})` };
    }
  }
  return {
    look,
    async admit(kind) {
      if (endings.includes(kind)) return;
      const { state, id, found } = await look();
      if (state !== 'fail') return;
      throw new DpuError(id === 'disk-full' ? 'exhausted' : 'unavailable', `the node takes nothing new: ${found}`, {
        details: { reasons: [id ?? 'disk-full'] },
      });
    },
  };
}
