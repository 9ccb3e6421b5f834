import { describe, expect, it } from 'vitest';
import { createEngine } from '../../core/operation/engine.ts';
import type { JournalEntry } from '../../core/operation/journal.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { silentLog } from '../../core/ports/log.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';
import { operationId, operationRecord } from '../support/operation-record.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const queued = operationRecord();

/** Runs the steps to their end; answers what each write said of steps, and what was committed when each step had its effect. */
async function run(steps: readonly Partial<Step>[]) {
  const journal = createMemoryJournal();
  journal.operations.set(operationId, queued);
  const writes: string[][] = [];
  let committed: string[] = [];
  const atEffect: Record<string, readonly string[]> = {};
  const said = (entries: readonly JournalEntry[]): string[] =>
    entries.flatMap((entry) =>
      entry.type === 'step' ? [`${entry.step} ${entry.phase}`] : entry.type === 'records' ? [] : [entry.type],
    );
  const plan: Plan = {
    pivot: String(steps.at(-1)?.name),
    steps: steps.map((step): Step => {
      const name = String(step.name);
      const effect = async () => {
        atEffect[name] = committed;
        return {};
      };
      return {
        after: [],
        deadlineMs: 1000,
        retry: { firstDelayMs: 1, factor: 2, maxDelayMs: 4 },
        run: effect,
        ...step,
        name,
      };
    }),
  };
  const engine = createEngine({
    journal: {
      ...journal,
      async write(entries) {
        writes.push(said(entries));
        await journal.write(entries);
        await new Promise((resolve) => setImmediate(resolve)); // the disk takes its time
        committed = [...committed, ...said(entries)];
      },
    },
    planner: { prepare: async () => ({}), plan: () => plan, settle: () => [] },
    clock: virtualClock(),
    random: { unit: () => 0.5, uuid: () => 'unused' },
    log: silentLog,
    gate: createKeyedLock(),
    maxConcurrent: 1,
    load: () => queued,
    supersede: async () => {},
    onFatal: (error) => {
      throw error;
    },
  });
  engine.submit(queued);
  await engine.settled(operationId);
  return { writes, atEffect };
}

describe('commits of an operation', () => {
  it('are one a step where one follows the other, each before its effect', async () => {
    const { writes, atEffect } = await run([{ name: 'a' }, { name: 'b', after: ['a'] }, { name: 'c', after: ['b'] }]);
    expect(writes).toEqual([
      ['started', 'a doing'],
      ['a done', 'b doing'],
      ['b done', 'c doing'],
      ['c done', 'state'],
    ]);
    expect(atEffect.b).toEqual(['started', 'a doing', 'a done', 'b doing']);
    expect(atEffect.c).toContain('c doing');
  });

  it('begin a step after its last dependency, and one that waits for a lock only when it has it', async () => {
    const { writes, atEffect } = await run([
      { name: 'a' },
      { name: 'b' },
      { name: 'c', after: ['a', 'b'] },
      { name: 'd', after: ['c'], exclusive: 'host' },
    ]);
    expect(writes[0]).toEqual(['started', 'a doing', 'b doing']);
    expect(writes.slice(1)).toEqual([['a done'], ['b done', 'c doing'], ['c done'], ['d doing'], ['d done', 'state']]);
    expect(atEffect.c).toContain('c doing');
    expect(atEffect.d).toContain('d doing');
  });
});
