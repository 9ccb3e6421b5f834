import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DpuError, toDpuError } from '../../core/errors.ts';
import type { Batch, ErrorData, GroupResult } from './commands.ts';
import { errorOf, type WriterOptions } from './group.ts';
import type { Writer, WriterEvents } from './writer.ts';

/** What the store tells the writer's thread. */
export type ToWorker = { readonly type: 'batches'; readonly batches: readonly Batch[] } | { readonly type: 'close' };

/** What the writer's thread tells the store. */
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'group'; readonly result: GroupResult }
  | { readonly type: 'failed'; readonly error: ErrorData }
  | { readonly type: 'closed' };

/**
 * Writes in a thread of its own, so that a slow disk stalls nobody else.
 * @throws DpuError what opening the file met; `unavailable` when the thread did not come up.
 */
export async function startWorkerWriter(
  options: WriterOptions,
  events: WriterEvents,
  entry = new URL(`./worker${extname(import.meta.url)}`, import.meta.url),
): Promise<Writer> {
  // Its garbage is short-lived and small: a small young generation keeps the daemon's resident memory down.
  const worker = new Worker(entry, {
    workerData: options,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
  const post = (message: ToWorker): void => worker.postMessage(message);
  const started = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  let state: 'starting' | 'open' | 'over' = 'starting';
  let closing = false;

  function fail(error: DpuError): void {
    const before = state;
    state = 'over';
    if (before === 'starting') started.reject(error);
    else if (before !== 'over') events.onFailure(error);
  }
  worker.on('message', (message: FromWorker) => {
    if (message.type === 'ready') {
      state = 'open';
      started.resolve();
    } else if (message.type === 'group') events.onGroup(message.result);
    else if (message.type === 'failed') fail(errorOf(message.error));
    else state = 'over';
  });
  worker.on('error', (cause) => fail(new DpuError('unavailable', "the store's writer died", { cause })));
  worker.on('exit', () => {
    fail(new DpuError('unavailable', "the store's writer ended"));
    gone.resolve();
  });
  await started.promise;
  return {
    send(batches) {
      try {
        post({ type: 'batches', batches });
      } catch (error) {
        // A value that can't go to another thread: a defect of ours, and its callers must not wait for ever.
        fail(toDpuError(error, 'handing a write to the store failed'));
      }
    },
    async close() {
      if (!closing) {
        closing = true;
        post({ type: 'close' });
      }
      await gone.promise;
    },
  };
}
