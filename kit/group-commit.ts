/**
 * Durable commits that never hold up the event loop, without a thread of our own: a group is written as one transaction in the caller's thread,
 * which with `synchronous=NORMAL` is a write into the page cache; then libuv's pool flushes the WAL, and only then is anybody told. What comes in
 * meanwhile is the next group. SQLite itself flushes when it moves the WAL into the file, every 1,000 pages, and orders the two as it must
 * (sqlite.org/wal.html, "Checkpointing"; sqlite.org/pragma.html, `synchronous`).
 */
import { closeSync, fdatasync, openSync } from 'node:fs';

/** Flushes one database's WAL. */
export interface WalFlusher {
  /** Ends when all that was committed before the call is on the disk. @throws the system's error: what was committed may be lost in a power cut. */
  flush(): Promise<void>;
  close(): void;
}

/**
 * Opens the WAL of a database that this process has open for writing (`openWriter` with `flushed`), which keeps the file in being. SQLite holds no
 * lock on a WAL, so that closing another descriptor of it takes none away.
 */
export function openWalFlusher(database: string): WalFlusher {
  const wal = openSync(`${database}-wal`, 'r');
  return {
    flush: () =>
      new Promise((resolve, reject) => fdatasync(wal, (error) => (error === null ? resolve() : reject(error)))),
    close: () => closeSync(wal),
  };
}

/** What is done with a group. */
export interface GroupCommitOptions<Work, Result> {
  /** Writes the group as one transaction. @throws when nothing of it is kept. */
  run(group: readonly Work[]): Result;
  /** Ends when what `run` wrote is on the disk; null: as soon as it was written. */
  readonly flush: (() => Promise<void>) | null;
  /** The group is on the disk. */
  done(result: Result, group: readonly Work[]): void;
  /**
   * `run` or `flush` failed, and with it everything that waits, and all that is added later. Nothing is run any more: after a failed flush a second
   * one proves nothing.
   */
  failed(error: unknown, group: readonly Work[]): void;
}

/** Takes work, in order. */
export interface GroupCommit<Work> {
  add(work: readonly Work[]): void;
  /** Ends when all that was added is on the disk, or has failed. */
  idle(): Promise<void>;
}

/** Commits work in groups, one at a time. */
export function createGroupCommit<Work, Result>(options: GroupCommitOptions<Work, Result>): GroupCommit<Work> {
  const { flush } = options;
  let waiting: Work[] = [];
  let busy: Promise<void> | null = null;
  let failure: unknown = null;

  /** The next group written; null: it failed, and was told. */
  function next(): { readonly group: readonly Work[]; readonly result: Result } | null {
    const group = waiting;
    waiting = [];
    try {
      return { group, result: options.run(group) };
    } catch (error) {
      fail(error, group);
      return null;
    }
  }

  function fail(error: unknown, group: readonly Work[]): void {
    failure ??= error;
    const all = [...group, ...waiting];
    waiting = [];
    options.failed(error, all);
  }

  async function work(toDisk: () => Promise<void>): Promise<void> {
    while (waiting.length > 0) {
      const written = next();
      if (written === null) break;
      try {
        await toDisk();
      } catch (error) {
        fail(error, written.group);
        break;
      }
      options.done(written.result, written.group);
    }
    busy = null;
  }

  return {
    add(more) {
      if (failure !== null) {
        options.failed(failure, more);
        return;
      }
      waiting.push(...more);
      if (busy !== null) return;
      if (flush === null) {
        const written = next();
        if (written !== null) options.done(written.result, written.group);
        return;
      }
      const working = work(flush);
      // a group that failed at once has ended by now
      if (failure === null) busy = working;
    },
    async idle() {
      await busy;
    },
  };
}
