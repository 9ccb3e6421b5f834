import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { Context } from './command.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import type { Row } from './output.ts';

const POLL_MS = 200;
const overStates: readonly Operation['state'][] = ['succeeded', 'failed', 'cancelled', 'stuck'];

/** Whether nothing more happens to an operation by itself. */
function isOver(operation: Operation): boolean {
  return overStates.includes(operation.state);
}

/** `build running 4/9 bind-port`. */
export function progressLine(operation: Operation): string {
  const current = operation.steps.find((step) => step.phase === 'doing' || step.phase === 'undoing');
  const { done, total } = operation.progress;
  return [operation.kind, operation.state, `${done}/${total}`, ...(current === undefined ? [] : [current.name])].join(
    ' ',
  );
}

/** Waits for the end of an operation with a line of progress for every change, and shows how it ended. */
export async function follow(context: Context, accepted: Operation): Promise<ExitCode> {
  let operation = accepted;
  let line = '';
  while (true) {
    const next = progressLine(operation);
    if (next !== line) context.progress(next);
    line = next;
    if (isOver(operation)) break;
    await sleep(POLL_MS, undefined, { signal: context.signal });
    operation = (await context.client.ask('GET', `/v1/operations/${operation.id}`)) as Operation;
  }
  return show(context, operation);
}

/** What a result says in a word, such as a snapshot's id; its lists are in `operation show`. */
function told(result: Operation['result']): Row {
  return Object.fromEntries(Object.entries(result ?? {}).filter(([, value]) => typeof value === 'string'));
}

/** Shows an operation; the exit code says whether it succeeded. */
export function show(context: Context, operation: Operation): ExitCode {
  const { id, kind, instance, state, error } = operation;
  context.showThing(
    { ...operation },
    { operation: id, kind, instance, state, ...told(operation.result), error: error?.message ?? null },
  );
  return isOver(operation) && operation.state !== 'succeeded' ? exitCode.failed : exitCode.done;
}

/** Sends a change, then waits for its end unless `--no-wait` was given. */
export async function change(context: Context, method: string, path: string, body?: unknown): Promise<ExitCode> {
  const operation = (await context.client.ask(method, path, body)) as Operation;
  return context.has('no-wait') ? show(context, operation) : await follow(context, operation);
}
