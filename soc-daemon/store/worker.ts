/** The writer's thread: owns the only connection that writes. Everything that waits when it gets free is one commit. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Batch } from './commands.ts';
import { errorData, openGroupWriter, type WriterOptions } from './group.ts';
import type { FromWorker, ToWorker } from './writer-worker.ts';

const port = ownPort();
const tell = (message: FromWorker): void => port.postMessage(message);

function ownPort(): MessagePort {
  if (!parentPort) throw new Error('worker.ts runs as a worker thread only');
  return parentPort;
}

/** Everything that has arrived by now. */
function drain(first: ToWorker): { readonly batches: readonly Batch[]; readonly close: boolean } {
  const batches: Batch[] = [];
  let close = false;
  for (let message: ToWorker | undefined = first; message; message = receiveMessageOnPort(port)?.message) {
    if (message.type === 'batches') batches.push(...message.batches);
    else close = true;
  }
  return { batches, close };
}

try {
  const writer = openGroupWriter(workerData as WriterOptions);
  port.on('message', (first: ToWorker) => {
    try {
      const { batches, close } = drain(first);
      if (batches.length > 0) tell({ type: 'group', result: writer.run(batches) });
      if (!close) return;
      writer.close();
      tell({ type: 'closed' });
      port.close();
    } catch (error) {
      tell({ type: 'failed', error: errorData(error, 'write') });
      port.close();
    }
  });
  tell({ type: 'ready' });
} catch (error) {
  tell({ type: 'failed', error: errorData(error, 'start') });
  port.close();
}
