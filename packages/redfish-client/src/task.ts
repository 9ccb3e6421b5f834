import type { Answer, RedfishClient, RequestOptions } from './client.ts';
import { ConnectionError, HttpError, TaskError } from './errors.ts';
import { toMessage } from './extended-info.ts';
import { arrayOf, isObject, type JsonObject, numberOf, textOf } from './json.ts';
import { type CallOptions, pause } from './signals.ts';

/** What a task says of itself on the way (schema Task). */
export type TaskProgress = {
  /** TaskState, for example `Running`; empty when the monitor does not say. */
  readonly state: string;
  readonly percent: number | undefined;
};

/** Options of a write that may become a task. */
export type PerformOptions = RequestOptions & {
  readonly onProgress?: ((progress: TaskProgress) => void) | undefined;
};

const ENDED_WELL = new Set(['Completed']);
const ENDED_BADLY = new Set(['Killed', 'Exception', 'Cancelled']);

/**
 * Sends a write and sees it through: when the service answers 202 with a monitor, its end is awaited (DSP0266 "Asynchronous
 * operations"). Resolves with the final answer.
 * @throws as `request`, and TaskError.
 */
export async function perform(
  client: RedfishClient,
  method: string,
  path: string,
  options: PerformOptions = {},
): Promise<Answer> {
  using time = client.deadline(`${method} ${path}`, options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const first = await client.request(method, path, { ...limits, body: options.body, headers: options.headers });
  return await awaitTask(client, first, { ...limits, onProgress: options.onProgress });
}

/**
 * Awaits the end of what an answer began. An answer other than 202 is the end itself. Polls the monitor, or the task where that is all
 * there is, at the pace of `Retry-After`; a lost connection, 429 and 503 on the way are borne until the deadline.
 * @throws TaskError `task-failed`, `task-lost` (the service forgot it), HttpError (the operation's own error), RedfishTimeout.
 */
export async function awaitTask(
  client: RedfishClient,
  begun: Answer,
  options: CallOptions & Pick<PerformOptions, 'onProgress'> = {},
): Promise<Answer> {
  if (begun.status !== 202) return begun;
  using time = client.deadline('task', options);
  const monitor = begun.location ?? textOf(begun.body, 'TaskMonitor') ?? taskId(begun.body);
  if (monitor === undefined) throw new TaskError('task-lost', '');
  let task = taskId(begun.body);
  let last = begun;
  for (let target = monitor; ; ) {
    const end = ended(target, last, options);
    if (end !== undefined) return end;
    await pause(last.retryAfterSec === undefined ? client.settings.pollMs : last.retryAfterSec * 1000, time.signal);
    try {
      last = await client.get(target, { signal: time.signal, timeoutMs: options.timeoutMs });
      task = taskId(last.body) ?? task;
      if (last.status !== 202 && !isTask(last.body)) return last;
    } catch (error) {
      if (error instanceof HttpError && [404, 410].includes(error.status)) {
        // Some services drop the monitor with the task's end; the task itself may still tell.
        if (task === undefined || target === task) throw new TaskError('task-lost', stateOf(last.body));
        target = task;
      } else if (!isPassing(error)) throw error;
    }
  }
}

/** The final answer when a task's body says it is over. */
function ended(target: string, last: Answer, options: Pick<PerformOptions, 'onProgress'>): Answer | undefined {
  if (!isTask(last.body)) return undefined;
  const state = stateOf(last.body);
  options.onProgress?.({ state, percent: numberOf(last.body, 'PercentComplete') });
  if (ENDED_BADLY.has(state)) {
    const messages = arrayOf(last.body, 'Messages').filter(isObject);
    throw new TaskError(
      'task-failed',
      state,
      messages.map((item) => toMessage(item)),
    );
  }
  // A monitor that answers 202 holds the operation's own answer back until it is asked once more.
  return ENDED_WELL.has(state) && (last.status !== 202 || target === taskId(last.body)) ? last : undefined;
}

/** Asks the service to end a task (DELETE of its monitor; DSP0266 "Asynchronous operations"). @throws HttpError */
export async function cancelTask(client: RedfishClient, begun: Answer, options: CallOptions = {}): Promise<void> {
  const monitor = begun.location ?? taskId(begun.body);
  if (monitor === undefined) throw new TaskError('task-lost', '');
  await client.request('DELETE', monitor, options);
}

function isTask(body: JsonObject): boolean {
  return textOf(body, '@odata.type')?.startsWith('#Task.') ?? false;
}

function taskId(body: JsonObject): string | undefined {
  return isTask(body) ? textOf(body, '@odata.id') : undefined;
}

function stateOf(body: JsonObject): string {
  return textOf(body, 'TaskState') ?? '';
}

function isPassing(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof HttpError && [429, 503].includes(error.status));
}
