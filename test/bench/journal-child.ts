/**
 * Journals steps one after the other while a 10 ms timer is watched, and prints what it took as JSON.
 * `node journal-child.ts DIRECTORY flushed|inline STEPS`
 */
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { JournalEntry } from '../../core/operation/journal.ts';
import { systemClock } from '../../kit/clock.ts';
import { openStore } from '../../soc-daemon/store/store.ts';
import { buildRequest, operationId, testKey } from '../support/store.ts';
import { quantile } from './report.ts';

/** What one run found. */
export interface JournalRun {
  /** CPU of all threads per step: its `doing` and its `done`, each committed. */
  readonly cpuMsPerStep: number;
  /** From handing a step's `doing` in to knowing that its `done` is on the disk. */
  readonly stepP50Ms: number;
  readonly stepP99Ms: number;
  /** Time between two calls of the 10 ms timer while steps are journaled: median, and longest. */
  readonly medianGapMs: number;
  readonly longestGapMs: number;
}

const STEPS_A_PLAN = 10;

async function journal(directory: string, mode: 'flushed' | 'inline', steps: number): Promise<JournalRun> {
  const store = await openStore({ file: join(directory, 'soc-daemon.db'), key: testKey, clock: systemClock, mode });
  await store.accept(buildRequest(1));
  const operation = operationId(1);
  const planned = Array.from({ length: STEPS_A_PLAN }, (_, index) => `step-${index}`);
  await store.write([{ type: 'started', operation, input: {}, steps: planned }]);
  const line = (index: number, phase: 'doing' | 'done'): JournalEntry => ({
    type: 'step',
    operation,
    step: `step-${index % STEPS_A_PLAN}`,
    phase,
    attempts: 1,
    ...(phase === 'done' ? { output: { function: 'net-0', bdf: '0000:3b:00.2' } } : {}),
  });
  async function step(index: number): Promise<void> {
    await store.write([line(index, 'doing')]);
    await store.write([line(index, 'done')]);
  }
  for (let index = 0; index < Math.min(100, steps); index += 1) await step(index); // warm

  const gaps: number[] = [];
  let last = performance.now();
  const look = (): void => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  };
  const timer = setInterval(look, 10);
  const taken: number[] = [];
  const cpuBefore = process.cpuUsage();
  for (let index = 0; index < steps; index += 1) {
    const begun = performance.now();
    await step(index);
    taken.push(performance.now() - begun);
    await turn(); // the writer in this thread answers without one, and the timer would never run
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  look();
  clearInterval(timer);
  await store.close();
  return {
    cpuMsPerStep: (user + system) / 1000 / steps,
    stepP50Ms: quantile(taken, 0.5),
    stepP99Ms: quantile(taken, 0.99),
    medianGapMs: quantile(gaps, 0.5),
    longestGapMs: quantile(gaps, 1),
  };
}

const [directory = '', mode = 'flushed', steps = '100'] = process.argv.slice(2);
if (import.meta.main) {
  console.log(JSON.stringify(await journal(directory, mode === 'inline' ? 'inline' : 'flushed', Number(steps))));
}
