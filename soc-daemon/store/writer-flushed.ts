import { toDpuError } from '../../core/errors.ts';
import { createGroupCommit, openWalFlusher } from '../../kit/group-commit.ts';
import { databaseError } from '../../kit/sqlite.ts';
import type { Batch, GroupResult } from './commands.ts';
import type { GroupWriter } from './group.ts';
import type { Writer, WriterEvents } from './writer.ts';

/**
 * Writes in the caller's thread and waits for the disk outside of it, so that a slow one stalls nobody else.
 * @throws DpuError when the WAL can't be opened; the group's connection is closed then.
 */
export function createFlushedWriter(group: GroupWriter, file: string, events: WriterEvents): Writer {
  const flusher = flusherOf(group, file);
  const commits = createGroupCommit<Batch, GroupResult>({
    run: (batches) => group.run(batches),
    flush: () =>
      flusher.flush().catch((error: unknown) => {
        throw databaseError(error, `flushing the store ${file}`);
      }),
    done: (result) => events.onGroup(result),
    failed: (error) => events.onFailure(toDpuError(error, 'writing the store failed')),
  });
  return {
    send: (batches) => commits.add(batches),
    async close() {
      await commits.idle();
      flusher.close();
      group.close();
    },
  };
}

function flusherOf(group: GroupWriter, file: string): ReturnType<typeof openWalFlusher> {
  try {
    return openWalFlusher(file);
  } catch (error) {
    group.close();
    throw databaseError(error, `opening the store ${file}`);
  }
}
