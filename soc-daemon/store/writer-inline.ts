import { toDpuError } from '../../core/errors.ts';
import type { GroupResult } from './commands.ts';
import type { GroupWriter } from './group.ts';
import type { Writer, WriterEvents } from './writer.ts';

/** Writes in the caller's thread: what is sent in one turn is one group. */
export function createInlineWriter(group: GroupWriter, events: WriterEvents): Writer {
  return {
    send(batches) {
      let result: GroupResult;
      try {
        result = group.run(batches);
      } catch (error) {
        events.onFailure(toDpuError(error, 'writing the store failed'));
        return;
      }
      events.onGroup(result);
    },
    async close() {
      group.close();
    },
  };
}
