import { toDpuError } from '../../core/errors.ts';
import type { GroupWriter } from './group.ts';
import type { Writer, WriterEvents } from './writer.ts';

/** Writes in the caller's thread: what is sent in one turn is one group. */
export function createInlineWriter(group: GroupWriter, events: WriterEvents): Writer {
  return {
    send(batches) {
      try {
        events.onGroup(group.run(batches));
      } catch (error) {
        events.onFailure(toDpuError(error, 'writing the store failed'));
      }
    },
    async close() {
      group.close();
    },
  };
}
