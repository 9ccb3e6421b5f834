import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type InstanceState,
  mayBegin,
  type OperationKind,
  type Outcome,
  observations,
  stateAfter,
  stateDuring,
  stateObserved,
  transitions,
} from '../../core/instance-state.ts';
import instanceSchema from '../../schemas/common.json' with { type: 'json' };

const kinds = Object.keys(transitions) as OperationKind[];
const states = instanceSchema.$defs.instance_state.enum as InstanceState[];
const outcomes: Outcome[] = ['succeeded', 'failed', 'cancelled', 'stuck'];

/** A life: what is tried one after the other, and what is seen between. */
const lives = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constantFrom(...kinds), outcome: fc.constantFrom(...outcomes) }),
    fc.record({ power: fc.constantFrom('on' as const, 'off' as const) }),
  ),
  { maxLength: 30 },
);

describe('instance state machine', () => {
  it('has the states and operations of the schemas, no more and no fewer', () => {
    expect(kinds.toSorted()).toEqual(instanceSchema.$defs.operation_kind.enum.toSorted());
    const named = new Set<string>(
      Object.values(transitions).flatMap(({ from, during, succeeded, failed, cancelled, stuck }) => [
        ...from,
        during,
        succeeded,
        failed,
        cancelled,
        stuck,
      ]),
    );
    named.delete('same');
    for (const state of named) expect(states).toContain(state);
  });

  it('keeps every life inside of the states, and ends it for good at deleted', () => {
    fc.assert(
      fc.property(lives, (life) => {
        let state: InstanceState | null = null;
        for (const event of life) {
          if ('power' in event) {
            if (state !== null) state = stateObserved(event.power, state);
          } else if (mayBegin(event.kind, state)) {
            expect(state).not.toBe('deleted');
            const before: InstanceState = state ?? 'building';
            expect(states).toContain(stateDuring(event.kind, before));
            state = stateAfter(event.kind, event.outcome, before);
          }
          if (state !== null) expect(states).toContain(state);
        }
        if (state === 'deleted') for (const kind of kinds) expect(mayBegin(kind, state)).toBe(false);
      }),
    );
  });

  it('lets every instance that is not deleted be destroyed, and build only what is not there', () => {
    for (const state of states) {
      expect(mayBegin('destroy', state)).toBe(state !== 'deleted');
      expect(mayBegin('build', state)).toBe(false);
    }
    for (const kind of kinds) expect(mayBegin(kind, null)).toBe(kind === 'build');
  });

  it('takes an operation that was undone for one that never was, but for build and destroy', () => {
    for (const kind of kinds) {
      if (kind === 'build' || kind === 'destroy') continue;
      for (const state of transitions[kind].from) {
        expect(stateAfter(kind, 'cancelled', state)).toBe(state);
        expect(stateAfter(kind, 'failed', state)).toBe(state);
      }
    }
  });

  it('takes the host being seen as it is said to be for no change', () => {
    for (const power of ['on', 'off'] as const) {
      for (const state of states) {
        const seen = stateObserved(power, state);
        expect(stateObserved(power, seen)).toBe(seen);
        if (!(state in observations[power])) expect(seen).toBe(state);
      }
    }
  });
});
