import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { createEngine, type Engine } from '../../core/operation/engine.ts';
import { isEnded, type OperationRecord, type Planner } from '../../core/operation/journal.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type InstanceId, type OperationId } from '../../core/units.ts';
import { createMemoryJournal, type MemoryJournal } from '../support/memory-journal.ts';
import { operationId, operationRecord } from '../support/operation-record.ts';

/** Time that passes only while somebody sleeps; deadlines never come. */
const idleClock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  sleep: (_ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) reject(signal.reason);
      else setImmediate(resolve);
    }),
  timer: () => ({ cancel: () => {} }),
};

const retry = { firstDelayMs: 1, factor: 2, maxDelayMs: 4 };

type Behaviour = 'works' | 'fails-once' | 'fails' | 'answer-lost-once';

interface Shape {
  /** Dependencies by index; only lower ones, so there is no cycle. */
  readonly dependencies: readonly (readonly number[])[];
  readonly behaviours: readonly Behaviour[];
  readonly undoFails: readonly boolean[];
  /** Steps before this index are before the pivot, later ones behind it. */
  readonly pivot: number;
}

/** A world of effects: step name -> there or not, and what happened in which order. */
function createWorld(shape: Shape) {
  const there = new Set<string>();
  const runs: string[] = [];
  /** Kept apart: an error thrown inside of a step would only look like its failure. */
  const violations: string[] = [];
  const trouble = new Map(shape.behaviours.map((behaviour, index) => [`s${index}`, behaviour]));
  const undoTrouble = new Set(shape.undoFails.flatMap((fails, index) => (fails ? [`s${index}`] : [])));
  let life = 0;

  function plan(): Plan {
    const mine = life;
    const alive = async (): Promise<void> => {
      await Promise.resolve();
      if (mine !== life) await new Promise(() => {});
    };
    const steps = shape.dependencies.map((dependencies, index): Step => {
      const name = `s${index}`;
      const after = new Set(dependencies.map((each) => `s${each}`));
      if (index === shape.pivot) for (let each = 0; each < index; each += 1) after.add(`s${each}`);
      if (index > shape.pivot) after.add(`s${shape.pivot}`);
      return {
        name,
        after: [...after],
        deadlineMs: 1000,
        retry,
        async run() {
          await alive();
          for (const each of after) if (!there.has(each)) violations.push(`${name} runs before ${each}`);
          runs.push(`run ${name}`);
          const behaviour = trouble.get(name);
          if (behaviour === 'fails') throw new DpuError('hardware', 'broken');
          if (behaviour === 'fails-once') {
            trouble.delete(name);
            throw new DpuError('unavailable', 'away');
          }
          there.add(name);
          if (behaviour === 'answer-lost-once') {
            trouble.delete(name);
            throw new DpuError('timeout', 'no answer');
          }
          return { output: name };
        },
        async undo() {
          await alive();
          for (const other of shape.dependencies.keys()) {
            const dependsOnMe = steps[other]?.after.includes(name) ?? false;
            if (dependsOnMe && there.has(`s${other}`)) violations.push(`undo of ${name} before s${other}`);
          }
          runs.push(`undo ${name}`);
          if (undoTrouble.has(name)) throw new DpuError('hardware', 'stays');
          there.delete(name);
          return {};
        },
      };
    });
    return { steps, pivot: `s${shape.pivot}` };
  }

  return {
    there,
    runs,
    violations,
    plan,
    mendUndo: () => undoTrouble.clear(),
    mendRun: () => trouble.clear(),
    /** Effects of before never happen from now on. */
    nextLife: () => {
      life += 1;
    },
  };
}

function engineFor(journal: MemoryJournal, planOf: (operation: OperationRecord) => Plan, maxConcurrent = 4): Engine {
  const planner: Planner = {
    prepare: async () => ({}),
    plan: planOf,
    settle: () => [],
  };
  return createEngine({
    journal,
    planner,
    clock: idleClock,
    random: { unit: () => 0.5, uuid: () => 'unused' },
    log: silentLog,
    gate: createKeyedLock(),
    maxConcurrent,
    load: (id) => journal.operations.get(id) ?? null,
    supersede: async (id) => {
      await journal.write([{ type: 'state', operation: id, state: 'failed' }]);
    },
    onFatal: (error) => {
      throw error;
    },
  });
}

const shapes: fc.Arbitrary<Shape> = fc.integer({ min: 1, max: 7 }).chain((size) =>
  fc.record({
    dependencies: fc.tuple(
      ...Array.from({ length: size }, (_, index) =>
        index === 0 ? fc.constant<number[]>([]) : fc.uniqueArray(fc.integer({ min: 0, max: index - 1 })),
      ),
    ),
    behaviours: fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constant<Behaviour>('works') },
        { weight: 1, arbitrary: fc.constantFrom<Behaviour>('fails-once', 'fails', 'answer-lost-once') },
      ),
      { minLength: size, maxLength: size },
    ),
    undoFails: fc.array(
      fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      { minLength: size, maxLength: size },
    ),
    pivot: fc.integer({ min: 0, max: size - 1 }),
  }),
);

/** Runs to its end with an operator who mends everything and retries what is stuck. */
async function runOut(journal: MemoryJournal, world: ReturnType<typeof createWorld>): Promise<OperationRecord> {
  const engine = engineFor(journal, world.plan);
  const now = (): OperationRecord => journal.operations.get(operationId) ?? operationRecord();
  if (!isEnded(now().state)) engine.submit(now());
  await engine.settled(operationId);
  if (now().state === 'stuck') {
    world.mendUndo();
    world.mendRun();
    await engine.retry(operationId);
    await engine.settled(operationId);
  }
  return now();
}

describe('engine', () => {
  it('ends every random plan done or undone, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const journal = createMemoryJournal();
        journal.operations.set(operationId, operationRecord());
        const world = createWorld(shape);
        const end = await runOut(journal, world);
        expect(world.violations).toEqual([]);
        const pivotBegun = journal.log.some((entry) => entry.type === 'step' && entry.step === `s${shape.pivot}`);
        if (pivotBegun) expect(end.state).toBe('succeeded');
        if (end.state === 'succeeded') expect(world.there.size).toBe(shape.dependencies.length);
        else {
          expect(end.state).toBe('failed');
          expect([...world.there]).toEqual([]);
          expect(end.steps.every((step) => step.phase === 'pending' || step.phase === 'undone')).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('ends every random plan done or undone after a loss of power at any write', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(30), fc.boolean(), async (shape, cutAt, applied) => {
        const journal = createMemoryJournal();
        journal.operations.set(operationId, operationRecord());
        const world = createWorld(shape);
        const first = engineFor(journal, world.plan);
        const lost = new Promise<void>((resolve) => journal.losePower(cutAt, applied, resolve));
        first.submit(operationRecord());
        await Promise.race([lost, first.settled(operationId)]);
        world.nextLife();
        journal.powerBack();
        const doing = journal.operations.get(operationId)?.steps.filter((step) => step.phase === 'doing') ?? [];
        const before = world.runs.length;
        const end = await runOut(journal, world);
        expect(world.violations).toEqual([]);
        expect(['succeeded', 'failed']).toContain(end.state);
        if (end.state === 'succeeded') expect(world.there.size).toBe(shape.dependencies.length);
        else expect([...world.there]).toEqual([]);
        // only what was in flight ran again
        const done = new Set(world.runs.slice(0, before).filter((run) => run.startsWith('run ')));
        for (const again of world.runs.slice(before)) {
          if (!done.has(again)) continue;
          const name = again.slice(4);
          const retried = shape.behaviours[Number(name.slice(1))] !== 'works';
          expect(retried || doing.some((step) => step.name === name), `${name} ran twice`).toBe(true);
        }
      }),
      { numRuns: 600 },
    );
  });

  it('undoes what runs when it is cancelled, and nothing past the pivot', async () => {
    const journal = createMemoryJournal();
    journal.operations.set(operationId, operationRecord());
    let begun = (): void => {};
    const hanging = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const undone: string[] = [];
    const step = (name: string, after: string[], run: Step['run']): Step => ({
      name,
      after,
      deadlineMs: 1000,
      retry,
      run,
      undo: async () => {
        undone.push(name);
        return {};
      },
    });
    const engine = engineFor(journal, () => ({
      pivot: 'c',
      steps: [
        step('a', [], async () => ({})),
        step('b', ['a'], ({ signal }) => {
          begun();
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }),
        step('c', ['b'], async () => ({})),
      ],
    }));
    engine.submit(operationRecord());
    await hanging;
    engine.cancel(operationId);
    await engine.settled(operationId);
    expect(journal.operations.get(operationId)?.state).toBe('cancelled');
    expect(undone).toEqual(['b', 'a']);
    expect(() => engine.cancel(operationId)).toThrow(DpuError);
  });

  it('goes on after a stop with the step that was cut off', async () => {
    const journal = createMemoryJournal();
    journal.operations.set(operationId, operationRecord());
    const runs: string[] = [];
    let begun = (): void => {};
    const hanging = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const planOf = (hang: boolean) => (): Plan => ({
      pivot: 'b',
      steps: [
        {
          name: 'a',
          after: [],
          deadlineMs: 1000,
          retry,
          run: async () => {
            runs.push('a');
            return {};
          },
        },
        {
          name: 'b',
          after: ['a'],
          deadlineMs: 1000,
          retry,
          run: ({ signal }) => {
            runs.push('b');
            if (!hang) return Promise.resolve({});
            begun();
            return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
          },
        },
      ],
    });
    const first = createEngine({
      journal,
      planner: { prepare: async () => ({}), plan: planOf(true), settle: () => [] },
      clock: {
        ...idleClock,
        timer: (ms, callback) => {
          if (ms === 5) setImmediate(callback);
          return { cancel: () => {} };
        },
      },
      random: { unit: () => 0.5, uuid: () => 'unused' },
      log: silentLog,
      gate: createKeyedLock(),
      maxConcurrent: 1,
      load: () => null,
      supersede: async () => {},
      onFatal: (error) => {
        throw error;
      },
    });
    first.submit(operationRecord());
    await hanging;
    await first.stop(5);
    expect(journal.operations.get(operationId)?.state).toBe('running');
    const second = engineFor(journal, planOf(false));
    second.submit(journal.operations.get(operationId) ?? operationRecord());
    await second.settled(operationId);
    expect(journal.operations.get(operationId)?.state).toBe('succeeded');
    expect(runs).toEqual(['a', 'b', 'b']);
  });

  it('runs no more operations at once than it may, and a destroy after the one it overtakes', async () => {
    const journal = createMemoryJournal();
    let now = 0;
    let most = 0;
    const order: string[] = [];
    const engine = engineFor(
      journal,
      (operation) => ({
        pivot: 'only',
        steps: [
          {
            name: 'only',
            after: [],
            deadlineMs: 1000,
            retry,
            run: async () => {
              now += 1;
              most = Math.max(most, now);
              await new Promise((resolve) => setImmediate(resolve));
              order.push(operation.id);
              now -= 1;
              return {};
            },
          },
        ],
      }),
      2,
    );
    const all = Array.from({ length: 9 }, (_, index) =>
      operationRecord({
        id: asId<OperationId>(`op${index}`),
        instance: asId<InstanceId>(`i${index}`),
        waitsFor: index === 1 ? asId<OperationId>('op8') : null,
      }),
    );
    for (const operation of all) journal.operations.set(operation.id, operation);
    for (const operation of [...all].reverse()) engine.submit(operation);
    await Promise.all(all.map((operation) => engine.settled(operation.id)));
    expect(most).toBe(2);
    expect(order).toHaveLength(9);
    expect(order.indexOf('op8')).toBeLessThan(order.indexOf('op1'));
  });
});
