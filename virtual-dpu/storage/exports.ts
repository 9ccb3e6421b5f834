import { rm } from 'node:fs/promises';
import type { BlockExportAdd } from 'qmp-client';
import type { Log } from '../../core/ports/log.ts';
import type { Bdev } from './bdevs.ts';
import { countRequest } from './iostat.ts';
import type { GateExport, GateSession } from './nbd-gate.ts';
import { addNodes, type Qsd, removeNodes } from './qsd.ts';

/** A bdev that is served: an NBD export behind a gate, or a vhost-user-blk socket. */
export interface Export extends GateExport {
  /** null once the bdev was taken away: I/O fails, as it does with SPDK. */
  bdev: Bdev | null;
  readonly readOnly: boolean;
  /** Of vhost-user-blk. */
  readonly path: string | null;
  hold: Promise<void> | null;
  /** A node above the bdev's that fails all writes, for who has the bdev open for writing while it becomes read-only. */
  guard: string | null;
  /** Nodes that stand in for the bdev that went. */
  standIn: readonly string[];
  /** The export's present id at the storage daemon, if it is there. */
  id: string | null;
}

/** Serves bdevs. */
export interface Exports {
  /** `path`: by vhost-user-blk; null: by NBD, for a gate. */
  add(bdev: Bdev, options: { readonly readOnly: boolean; readonly path: string | null }): Promise<Export>;
  /** Ends it with all its connections. */
  remove(each: Export): Promise<void>;
  /** Takes the bdev from under an export, which stays and answers I/O errors. */
  orphan(each: Export): Promise<void>;
  /** Does something to nodes that no export may have meanwhile; who is connected connects again. */
  without<T>(some: readonly Export[], work: () => Promise<T>): Promise<T>;
}

/** blkdebug's rules that make all I/O of these kinds fail with an error number (QAPI BlkdebugInjectErrorOptions). */
export function failing(iotypes: readonly string[], errno: number): readonly object[] {
  return iotypes.map((iotype) => ({ event: 'none', iotype, errno, once: false }));
}

/** Holes are looked for before data is read, so that must fail too. */
const ALL_FAILS = failing(['read', 'write', 'write-zeroes', 'discard', 'flush', 'block-status'], 5);

/** The exports of a storage daemon. */
export function createExports(qsd: Qsd, log: Log): Exports {
  const show = async (each: Export): Promise<void> => {
    const node = each.guard ?? each.bdev?.node ?? each.standIn[0];
    if (node === undefined) return;
    const id = qsd.name('export');
    const common = {
      id,
      'node-name': node,
      writable: !each.readOnly && (each.guard !== null || !(each.bdev?.readOnly ?? false)),
      writethrough: each.bdev?.writeThrough ?? false,
    };
    const args: BlockExportAdd =
      each.path === null
        ? { ...common, type: 'nbd', name: each.backend }
        : { ...common, type: 'vhost-user-blk', addr: { type: 'unix', path: each.path } };
    await qsd.qmp.execute('block-export-add', args);
    each.id = id;
  };
  const hide = async (each: Export): Promise<void> => {
    await Promise.all([...each.sessions].map((session: GateSession) => session.end()));
    const { id } = each;
    if (id === null) return;
    each.id = null;
    const gone = qsd.qmp.waitForEvent('BLOCK_EXPORT_DELETED', { match: (data) => data.id === id });
    gone.catch(() => undefined); // told by the command itself, or below
    await qsd.qmp.execute('block-export-del', { id, mode: 'hard' });
    await gone;
  };
  const without = async <T>(some: readonly Export[], work: () => Promise<T>): Promise<T> => {
    const held = some.map((each) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      each.hold = promise;
      return { each, resolve };
    });
    try {
      for (const { each } of held) await hide(each);
      return await work();
    } finally {
      // each comes again, whatever becomes of the others
      const shown = await Promise.allSettled(held.map(({ each }) => show(each)));
      for (const { each, resolve } of held) {
        each.hold = null;
        resolve();
      }
      const failed = shown.find((each) => each.status === 'rejected');
      if (failed !== undefined) log.error('an export did not come again', { error: failed.reason });
    }
  };
  return {
    without,
    async add(bdev, { readOnly, path }) {
      const made: Export = {
        bdev,
        readOnly,
        path,
        backend: qsd.name('served'),
        hold: null,
        guard: null,
        standIn: [],
        id: null,
        sessions: new Set(),
        count: (command, bytes) => {
          if (made.bdev !== null) countRequest(made.bdev.counters, command, bytes);
        },
      };
      await show(made);
      bdev.exports.add(made);
      return made;
    },
    async remove(each) {
      await hide(each);
      each.bdev?.exports.delete(each);
      await removeNodes(qsd, each.standIn);
      each.standIn = [];
      if (each.path !== null) await rm(each.path, { force: true });
    },
    async orphan(each) {
      const { bdev } = each;
      if (bdev === null) return;
      await without([each], async () => {
        bdev.exports.delete(each);
        each.bdev = null;
        each.guard = null;
        const [nothing, failing] = [qsd.name('node'), qsd.name('node')];
        await addNodes(qsd, [
          { driver: 'null-co', 'node-name': nothing, size: bdev.sizeBytes },
          { driver: 'blkdebug', 'node-name': failing, image: nothing, 'inject-error': ALL_FAILS },
        ]);
        each.standIn = [failing, nothing];
      });
    },
  };
}
