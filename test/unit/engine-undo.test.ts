import { describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { createEngine, type Engine } from '../../core/operation/engine.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Plan } from '../../core/operation/plan.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import { createMemoryJournal, type MemoryJournal } from '../support/memory-journal.ts';
import { operationId, operationRecord } from '../support/operation-record.ts';

/** Time that never passes. */
const stillClock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  sleep: () => Promise.resolve(),
  timer: () => ({ cancel: () => {} }),
};

const retry = { firstDelayMs: 1, factor: 2, maxDelayMs: 4 };
function engineFor(journal: MemoryJournal, planOf: () => Plan): Engine {
  return createEngine({
    journal,
    planner: { prepare: async () => ({}), plan: planOf, settle: () => [] },
    clock: stillClock,
    random: { unit: () => 0.5, uuid: () => 'unused' },
    log: silentLog,
    gate: createKeyedLock(),
    maxConcurrent: 4,
    load: (id) => journal.operations.get(id) ?? null,
    supersede: async () => {},
    onFatal: (error) => {
      throw error;
    },
  });
}

describe('engine', () => {
  it('tells an undo why, in the same life and in the next, and nothing when it was cancelled', async () => {
    const journal = createMemoryJournal();
    journal.operations.set(operationId, operationRecord());
    const told: (string | undefined)[] = [];
    const planOf = (): Plan => ({
      pivot: 'c',
      steps: [
        {
          name: 'a',
          after: [],
          deadlineMs: 1000,
          retry,
          run: async ({ failure }) => {
            told.push(failure()?.message ?? 'nothing');
            return {};
          },
          undo: async ({ failure }) => {
            told.push(failure()?.message);
            return {};
          },
        },
        {
          name: 'b',
          after: ['a'],
          deadlineMs: 1000,
          retry,
          run: async () => {
            throw new DpuError('hardware', 'it burns');
          },
          undo: async () => {
            if (told.length === 1) {
              told.push('first try');
              throw new DpuError('hardware', 'the undo fails too');
            }
            return {};
          },
        },
        { name: 'c', after: ['b'], deadlineMs: 1000, retry, run: async () => ({}) },
      ],
    });
    const first = engineFor(journal, planOf);
    first.submit(operationRecord());
    await first.settled(operationId);
    expect(journal.operations.get(operationId)?.state).toBe('stuck');
    await first.retry(operationId);
    await first.settled(operationId);
    expect(told).toEqual(['nothing', 'first try', 'the undo fails too']);

    told.length = 0;
    const error = { code: 'hardware', message: 'it burnt before', step: 'b', retry: 'operator' } as const;
    const step = { attempts: 1, output: null, error: null, startedAtMs: null, endedAtMs: null };
    const steps = [
      { ...step, name: 'a', phase: 'done' as const },
      { ...step, name: 'b', phase: 'undone' as const },
      { ...step, name: 'c', phase: 'pending' as const },
    ];
    for (const [life, want] of [
      [operationRecord({ state: 'unwinding', input: {}, steps, error }), 'it burnt before'],
      [operationRecord({ state: 'unwinding', input: {}, steps, cancelRequested: true }), undefined],
    ] as const) {
      journal.operations.set(operationId, life);
      const next = engineFor(journal, planOf);
      next.submit(life);
      await next.settled(operationId);
      expect(told.splice(0)).toEqual([want]);
    }
  });

  it('goes on undoing past what may be left, tells the rest of it, and says where it stays', async () => {
    const journal = createMemoryJournal();
    journal.operations.set(operationId, operationRecord());
    const undone: (readonly string[])[] = [];
    const planOf = (leaves: boolean) => (): Plan => ({
      pivot: 'd',
      steps: [
        {
          name: 'a',
          after: [],
          deadlineMs: 1000,
          retry,
          run: async () => ({}),
          undo: async ({ left }) => {
            undone.push(left());
            return {};
          },
        },
        {
          name: 'b',
          after: ['a'],
          deadlineMs: 1000,
          retry,
          leaves,
          run: async () => ({}),
          undo: () => Promise.reject(new DpuError('denied', 'it may not be given back')),
        },
        {
          name: 'c',
          after: ['b'],
          deadlineMs: 1000,
          retry,
          run: () => Promise.reject(new DpuError('hardware', 'it burns')),
        },
        { name: 'd', after: ['c'], deadlineMs: 1000, retry, run: async () => ({}) },
      ],
    });
    const engine = engineFor(journal, planOf(true));
    engine.submit(operationRecord());
    await engine.settled(operationId);
    const end = journal.operations.get(operationId);
    expect(end).toMatchObject({ state: 'failed', error: { message: 'it burns', step: 'c' } });
    expect(end?.steps.map(({ name, phase, error }) => [name, phase, error?.message])).toEqual([
      ['a', 'undone', undefined],
      ['b', 'undoing', 'it may not be given back'],
      ['c', 'undone', 'it burns'],
      ['d', 'pending', undefined],
    ]);
    expect(undone).toEqual([['b']]);

    journal.operations.set(operationId, operationRecord());
    const strict = engineFor(journal, planOf(false));
    strict.submit(operationRecord());
    await strict.settled(operationId);
    expect(journal.operations.get(operationId)?.state).toBe('stuck');
    expect(undone).toHaveLength(1);
  });
});
