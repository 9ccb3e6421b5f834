import { describe, expect, it } from 'vitest';
import type { InstanceState } from '../../core/instance-state.ts';
import type { OperationRecord } from '../../core/operation/journal.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { BindingRecord, InstanceRecord, RecordChange } from '../../core/records.ts';
import { asId, type InstanceId, type OperationId } from '../../core/units.ts';
import { createPlanner } from '../../soc-daemon/service/planner.ts';
import { operationRecord } from '../support/operation-record.ts';

const instance = asId<InstanceId>('i');

function operation(more: Partial<OperationRecord>): OperationRecord {
  const kind = 'attach_volume';
  return operationRecord({
    id: asId<OperationId>('o'),
    kind,
    instance,
    state: 'running',
    stateBefore: 'active',
    ...more,
  });
}

/** The change of the instance that an end of `ending` makes while the instance is in `now`. */
function settled(
  now: InstanceState,
  ending: OperationRecord,
  outcome: 'succeeded' | 'failed' | 'cancelled' | 'stuck',
  overtaken: OperationRecord | null = null,
): object {
  const record: InstanceRecord = {
    id: instance,
    name: 'i',
    state: now,
    flavor: { name: 'f', vcpus: 1, memory_mib: 1 },
    claimed: true,
    todo: null,
    generation: 1,
    metadata: {},
    sshKeys: [],
  };
  const planner = createPlanner(
    { functions: () => [], bindings: () => [], getInstance: () => record, getOperation: () => overtaken },
    { nodeType: 'BM' } as ComputeDriver,
  );
  const [change]: readonly (RecordChange | undefined)[] = planner.settle(ending, outcome, null);
  if (change?.type !== 'instance') throw new Error('no change of the instance');
  return change.patch;
}

describe('the beginning of an operation', () => {
  it('refuses an attach whose device came while it waited', async () => {
    const functionId = 'disk-1';
    const planner = createPlanner(
      {
        functions: () => [],
        bindings: () => [{ functionId } as BindingRecord],
        getInstance: () => null,
        getOperation: () => null,
      },
      { nodeType: 'BM' } as ComputeDriver,
    );
    const { signal } = new AbortController();
    await expect(planner.prepare(operation({ request: { disk: { functionId } } }), signal)).rejects.toMatchObject({
      code: 'conflict',
    });
    const other = operation({ request: { disk: { functionId: 'disk-2' } } });
    expect(await planner.prepare(other, signal)).toBe(other.request);
  });
});

describe('the end of an operation', () => {
  it('gives the host back when a build was undone', () => {
    const build = operation({ kind: 'build', stateBefore: null });
    expect(settled('building', build, 'failed')).toMatchObject({ state: 'error', claimed: false });
    expect(settled('building', build, 'cancelled')).toMatchObject({ state: 'deleted', claimed: false });
    expect(settled('building', build, 'succeeded')).toEqual({ state: 'active', todo: null });
  });

  it('leaves the state to the destroy that overtook it', () => {
    const build = operation({ kind: 'build', stateBefore: null });
    expect(settled('deleting', build, 'cancelled')).toEqual({ todo: null, claimed: false });
    expect(settled('deleting', operation({ kind: 'stop' }), 'succeeded')).toEqual({ todo: null });
  });

  it('lets a build that was stuck at its end become active', () => {
    const build = operation({ kind: 'build', stateBefore: null });
    expect(settled('error', build, 'succeeded')).toEqual({ state: 'active', todo: null });
  });

  it('puts back, when a destroy is cancelled, the state that the instance has without it', () => {
    const destroy = operation({ kind: 'destroy', stateBefore: 'active', waitsFor: asId<OperationId>('before') });
    expect(settled('deleting', { ...destroy, waitsFor: null }, 'cancelled')).toMatchObject({ state: 'active' });
    const stop = operation({ kind: 'stop', state: 'succeeded' });
    expect(settled('deleting', destroy, 'cancelled', stop)).toMatchObject({ state: 'stopped' });
    const build = operation({ kind: 'build', stateBefore: null, state: 'cancelled' });
    expect(settled('deleting', { ...destroy, stateBefore: 'building' }, 'cancelled', build)).toMatchObject({
      state: 'deleted',
    });
  });
});
