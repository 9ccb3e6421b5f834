import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '../../schemas/generated/operation.ts';
import { DemoError } from './demo-error.ts';
import type { NodeClient } from './node-client.ts';
import type { Screen } from './screen.ts';

type OperationStep = Operation['steps'][number];

const SIGNS: Readonly<Record<OperationStep['phase'], string>> = {
  pending: '·',
  doing: '>',
  done: '✓',
  undoing: '<',
  undone: '×',
};
const ENDED: readonly Operation['state'][] = ['succeeded', 'failed', 'cancelled', 'stuck'];
const LIMIT_MS = 60_000;

/** Whether an operation goes no further by itself. */
export function isOver(operation: Operation): boolean {
  return ENDED.includes(operation.state);
}

/** Shows an operation's steps as they happen, until it ends. @throws DemoError when it does not */
export async function followOperation(
  node: NodeClient,
  first: Operation,
  screen: Screen,
  signal: AbortSignal,
): Promise<Operation> {
  const begun = performance.now();
  const phases = new Map<string, string>();
  let operation = first;
  for (;;) {
    if (!screen.terminal) for (const step of changed(operation, phases)) screen.line(lineOf(step, screen));
    screen.block(blockOf(operation, screen));
    if (isOver(operation)) break;
    if (performance.now() - begun > LIMIT_MS)
      throw new DemoError(`the ${operation.kind} does not end: ${operation.id}`);
    await sleep(80, undefined, { signal });
    operation = await node.operation(first.id);
  }
  screen.keepBlock();
  const took = ((Date.parse(operation.updated_at) - Date.parse(operation.created_at)) / 1000).toFixed(1);
  const style = operation.state === 'succeeded' ? 'green' : 'red';
  const why = operation.error === null ? '' : `: ${operation.error.message} (${operation.error.code})`;
  screen.line(`  ${screen.paint(style, `${operation.kind} ${operation.state}`)} in ${took} s${why}`);
  return operation;
}

function changed(operation: Operation, phases: Map<string, string>): readonly OperationStep[] {
  const news = operation.steps.filter((step) => step.phase !== 'pending' && phases.get(step.name) !== step.phase);
  for (const step of news) phases.set(step.name, step.phase);
  return news;
}

function blockOf(operation: Operation, screen: Screen): readonly string[] {
  const { done, total } = operation.progress;
  const bar = total === 0 ? '' : '#'.repeat(Math.round((24 * done) / total)).padEnd(24, '.');
  return [
    ...operation.steps.map((step) => lineOf(step, screen)),
    `  [${bar}] ${operation.kind} ${operation.state} ${done}/${total}`,
  ];
}

function lineOf(step: OperationStep, screen: Screen): string {
  const text = `  ${SIGNS[step.phase]} ${step.phase.padEnd(7)} ${shortened(step.name)}${step.attempts > 1 ? ` (try ${step.attempts})` : ''}`;
  if (step.phase === 'done') return screen.paint('green', text);
  if (step.phase === 'pending') return screen.paint('dim', text);
  return screen.paint('yellow', text);
}

/** Step names end in ids; eight characters of a uuid are enough for a reader. */
function shortened(name: string): string {
  return name.replace(/([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '$1');
}
