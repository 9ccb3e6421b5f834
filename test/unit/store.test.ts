import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CommitNotice, NodeStore } from '../../core/ports/node-store.ts';
import { asId, type FunctionId } from '../../core/units.ts';
import { validate } from '../../kit/validate.ts';
import {
  binding,
  buildRequest,
  built,
  end,
  instanceId,
  nic,
  openTestStore,
  operationId,
  request,
  temporaryDirectory,
} from '../support/store.ts';

describe.each(['inline', 'flushed'] as const)('store, %s', (mode) => {
  const directory = temporaryDirectory;
  let place: ReturnType<typeof directory>;
  let store: NodeStore;
  const open = (): Promise<NodeStore> => openTestStore(place.path, { mode });

  beforeEach(async () => {
    place = directory();
    store = await open();
  });
  afterEach(async () => {
    await store.close();
    place.remove();
  });

  describe('accept', () => {
    it('journals a build as queued, with its instance, a report and an audit line', async () => {
      const result = await store.accept(buildRequest(1));
      expect(result).toMatchObject({ outcome: 'accepted', operation: { id: operationId(1), state: 'queued' } });
      expect(store.getInstance(instanceId(1))).toMatchObject({ state: 'building', generation: 1, claimed: true });
      expect(store.getOperation(operationId(1))).toMatchObject({ kind: 'build', stateBefore: null, steps: [] });
      expect(store.casts(10)).toMatchObject([{ method: 'report_instance_status', args: { state: 'building' } }]);
      expect(store.listAudit(10)).toMatchObject([{ by: 'test', action: 'build', instance: instanceId(1) }]);
    });

    it('answers a repeat with the first operation, and names what differs', async () => {
      await store.accept(buildRequest(1, { fingerprint: { same: '1', changed: '1', removed: '1' } }));
      const repeat = { ...buildRequest(1), operation: { ...buildRequest(1).operation, id: operationId(9) } };
      const same = await store.accept({ ...repeat, fingerprint: { changed: '1', same: '1', removed: '1' } });
      expect(same).toMatchObject({ outcome: 'same', operation: { id: operationId(1) } });
      const other = await store.accept({ ...repeat, fingerprint: { same: '1', changed: '2', added: '1' } });
      expect(other).toMatchObject({ outcome: 'differs', fields: ['added', 'changed', 'removed'] });
      expect(store.operationByKey(`build:${instanceId(1)}`)?.id).toBe(operationId(1));
    });

    it('tells the same request id of another method or instance', async () => {
      await built(store, 1);
      await built(store, 2);
      await store.accept(request('stop', 1, 10, { key: 'request:r' }));
      expect(await store.accept(request('stop', 1, 11, { key: 'request:r' }))).toMatchObject({ outcome: 'same' });
      expect(await store.accept(request('reboot', 1, 11, { key: 'request:r' }))).toMatchObject({ fields: ['method'] });
      expect(await store.accept(request('stop', 2, 11, { key: 'request:r' }))).toMatchObject({ fields: ['uuid'] });
    });

    it('takes one of two requests at once for the host', async () => {
      const [one, other] = await Promise.all([
        store.accept(buildRequest(1, { claimsHost: true })),
        store.accept(buildRequest(2, { claimsHost: true })),
      ]);
      expect(one.outcome).toBe('accepted');
      expect(other).toEqual({ outcome: 'host-claimed', instance: instanceId(1) });
    });

    it('takes one of many operations at once of an instance', async () => {
      await built(store, 1);
      const results = await Promise.all([10, 11, 12, 13].map((op) => store.accept(request('stop', 1, op))));
      expect(results.map((result) => result.outcome)).toEqual([
        'accepted',
        'operation-runs',
        'operation-runs',
        'operation-runs',
      ]);
      expect(store.unendedOperations().map((each) => each.id)).toEqual([operationId(10)]);
    });

    it('keeps to the state table and to instances that are there', async () => {
      expect(await store.accept(request('start', 1, 2))).toEqual({ outcome: 'no-instance' });
      await built(store, 1);
      expect(await store.accept(request('start', 1, 2))).toEqual({ outcome: 'bad-state', state: 'active' });
      expect(await store.accept(buildRequest(1, { key: null }))).toEqual({ outcome: 'bad-state', state: 'active' });
    });

    it('lets a destroy overtake what runs, once', async () => {
      await store.accept(buildRequest(1));
      const destroy = await store.accept(request('destroy', 1, 2));
      expect(destroy).toMatchObject({ outcome: 'accepted', operation: { waitsFor: operationId(1) } });
      expect(store.getOperation(operationId(1))?.cancelRequested).toBe(true);
      expect(store.getInstance(instanceId(1))?.state).toBe('deleting');
      expect(await store.accept(request('destroy', 1, 3))).toMatchObject({
        outcome: 'same',
        operation: { id: operationId(2) },
      });
      await end(store, 1, 'cancelled', { n: 1, state: 'deleted' });
      expect(await store.accept(request('destroy', 1, 4))).toMatchObject({ operation: { id: operationId(2) } });
    });

    it('maps the key of a destroy to the newest, and that of a build to the first, for ever', async () => {
      await built(store, 1);
      await store.accept(request('destroy', 1, 2));
      await end(store, 2, 'failed', { n: 1, state: 'error' });
      expect(await store.accept(request('destroy', 1, 3))).toMatchObject({ outcome: 'accepted' });
      expect(store.operationByKey(`destroy:${instanceId(1)}`)?.id).toBe(operationId(3));
      await end(store, 3, 'succeeded', { n: 1, state: 'deleted' });
      expect(await store.accept(request('destroy', 1, 4))).toMatchObject({
        outcome: 'same',
        operation: { id: operationId(3) },
      });
      expect(await store.accept(buildRequest(1))).toMatchObject({ outcome: 'same', operation: { id: operationId(1) } });
      expect(await store.accept(request('destroy', 7, 5))).toEqual({ outcome: 'no-instance' });
      expect(await store.accept(request('stop', 1, 6))).toEqual({ outcome: 'no-instance' });
    });
  });

  describe('journal', () => {
    it('keeps steps with their phases, outputs, errors and times', async () => {
      await store.accept(buildRequest(1));
      await store.write([{ type: 'started', operation: operationId(1), input: { a: 1 }, steps: ['one', 'two'] }]);
      const step = { type: 'step', operation: operationId(1), step: 'one' } as const;
      await store.write([{ ...step, phase: 'doing', attempts: 1 }]);
      expect(store.instanceView(instanceId(1))?.task).toEqual({
        operation: operationId(1),
        kind: 'build',
        step: 'one',
      });
      const error = { code: 'timeout', message: 'm', retry: 'backoff' } as const;
      await store.write([{ ...step, phase: 'doing', attempts: 2, error }]);
      await store.write([{ ...step, phase: 'done', attempts: 2, output: { id: 'x' }, error: null }]);
      const operation = store.getOperation(operationId(1));
      expect(operation).toMatchObject({ state: 'running', input: { a: 1 } });
      expect(operation?.steps).toMatchObject([
        { name: 'one', phase: 'done', attempts: 2, output: { id: 'x' }, error: null },
        { name: 'two', phase: 'pending', attempts: 0, output: null, startedAtMs: null, endedAtMs: null },
      ]);
      expect(operation?.steps[0]?.startedAtMs).toBeTypeOf('number');
      expect(operation?.steps[0]?.endedAtMs).toBeTypeOf('number');
    });

    it('applies calls in their order', async () => {
      await store.accept(buildRequest(1));
      const steps = Array.from({ length: 50 }, (_, index) => `s${index}`);
      const writes = [store.write([{ type: 'started', operation: operationId(1), input: {}, steps }])];
      for (const step of steps) {
        for (const phase of ['doing', 'done'] as const) {
          writes.push(store.write([{ type: 'step', operation: operationId(1), step, phase, attempts: 1 }]));
        }
      }
      writes.push(store.write([{ type: 'state', operation: operationId(1), state: 'succeeded' }]));
      await Promise.all(writes);
      const operation = store.getOperation(operationId(1));
      expect(operation?.state).toBe('succeeded');
      expect(operation?.steps.every((step) => step.phase === 'done')).toBe(true);
    });

    it('takes back a batch that fails whole, and it alone', async () => {
      const results = await Promise.allSettled([
        store.accept(buildRequest(1)),
        store.write([
          { type: 'records', changes: [{ type: 'instance', id: instanceId(1), patch: { state: 'error' } }] },
          { type: 'step', operation: operationId(1), step: 'none', phase: 'doing', attempts: 1 },
        ]),
        store.accept(buildRequest(2)),
      ]);
      expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(results[1]).toMatchObject({ reason: { code: 'not_found' } });
      expect(store.getInstance(instanceId(1))).toMatchObject({ state: 'building', generation: 1 });
      expect(store.casts(10)).toHaveLength(2);
      await store.close();
      store = await open();
      expect(store.liveInstances()).toHaveLength(2);
    });

    it('commits what comes in one turn as one group', async () => {
      const notices: CommitNotice[] = [];
      store.onCommit((notice) => notices.push(notice));
      await Promise.all([1, 2, 3, 4, 5].map((n) => store.accept(buildRequest(n))));
      expect(notices).toHaveLength(1);
      expect(notices[0]?.operations).toHaveLength(5);
    });

    it('writes what is pending when it is closed, and nothing after', async () => {
      const seen: unknown[] = [];
      store.onCommit(() => seen.push(store.getOperation(operationId(1))?.state));
      const accepted = store.accept(buildRequest(1));
      const closed = store.close();
      await expect(store.accept(buildRequest(2))).rejects.toMatchObject({ code: 'unavailable' });
      await closed;
      expect(await accepted).toMatchObject({ outcome: 'accepted' });
      expect(seen).toEqual(['queued']);
      store = await open();
      expect(store.getOperation(operationId(1))?.state).toBe('queued');
    });

    it('supersedes a stuck operation, keeping its error', async () => {
      await store.accept(buildRequest(1));
      await expect(store.supersede(operationId(1))).rejects.toMatchObject({ code: 'bad_state' });
      const error = { code: 'hardware', message: 'm', retry: 'operator' } as const;
      await store.write([{ type: 'state', operation: operationId(1), state: 'stuck', error }]);
      await store.supersede(operationId(1));
      expect(store.getOperation(operationId(1))).toMatchObject({ state: 'failed', error });
    });
  });

  describe('records and reports', () => {
    it('shows an instance as the contract has it', async () => {
      await built(store, 1);
      const made = {
        ...nic(1, 'f1'),
        mac: null,
        bdf: '0000:01:00.1',
        bdfState: 'assigned',
        representor: 'r1',
      } as const;
      await store.change([
        { type: 'function', record: made },
        { type: 'binding', record: binding(1, 'f1') },
        { type: 'binding', record: { ...binding(1, 'f2', 'volume'), sizeBytes: 5 } },
      ]);
      const view = store.instanceView(instanceId(1));
      expect(validate('instance.json', structuredClone(view), 'view')).toEqual(view);
      expect(view).toMatchObject({
        status: 'up',
        task: null,
        interfaces: [{ port_id: 'key-of-f1', function_id: 'f1', bdf: '0000:01:00.1', representor: 'r1' }],
        volumes: [{ volume_id: 'key-of-f2', function_id: 'f2', bdf: null, boot: true, size_bytes: 5 }],
      });
    });

    it('makes one report of a batch, as it is at its end, and none of functions alone', async () => {
      await store.accept(buildRequest(1));
      await end(store, 1, 'succeeded', { n: 1, state: 'active' });
      const casts = store.casts(10);
      expect(casts.map((cast) => [cast.args.state, cast.args.generation])).toEqual([
        ['building', 1],
        ['active', 2],
      ]);
      await store.write([{ type: 'records', changes: [{ type: 'function', record: nic(1, 'f1') }] }]);
      expect(store.casts(10)).toHaveLength(2);
      expect(store.getInstance(instanceId(1))?.generation).toBe(3);
      await store.change([{ type: 'function-patch', id: asId<FunctionId>('f1'), patch: { phase: 'made' } }]);
      expect(store.casts(10)).toHaveLength(3);
      await store.change([{ type: 'function-patch', id: asId<FunctionId>('f1'), patch: { phase: 'made' } }]);
      expect(store.casts(10)).toHaveLength(3);
      await store.reportAllInstances();
      const [first, ...rest] = store.casts(10);
      expect(rest).toHaveLength(3);
      await store.castDelivered(first?.seq ?? 0);
      expect(store.casts(10)).toEqual(rest);
    });

    it('tells of commits after they can be read', async () => {
      const notices: CommitNotice[] = [];
      const seen: unknown[] = [];
      const stop = store.onCommit((notice) => {
        notices.push(notice);
        seen.push(store.getOperation(operationId(1))?.state);
      });
      await store.accept(buildRequest(1));
      await store.setSetting('a', 'b');
      const told = { operations: [operationId(1)], settled: [], instances: [instanceId(1)], casts: true };
      expect(notices).toEqual([told]);
      expect(seen).toEqual(['queued']);
      stop();
      await store.accept(buildRequest(2));
      expect(notices).toHaveLength(1);
    });

    it('readopts an instance that it does not know', async () => {
      const { newInstance } = buildRequest(1);
      if (!newInstance) throw new Error('no instance');
      const record = { ...newInstance, state: 'active', todo: null, generation: 0 } as const;
      await store.adopt(record, [nic(1, 'f1')], [binding(1, 'f1')]);
      expect(store.instanceView(instanceId(1))).toMatchObject({ state: 'active', interfaces: [{ function_id: 'f1' }] });
      expect(store.casts(10)).toHaveLength(1);
      await expect(store.adopt(record, [], [])).rejects.toMatchObject({ code: 'conflict' });
      expect(await store.accept(buildRequest(2, { claimsHost: true }))).toMatchObject({ outcome: 'host-claimed' });
    });
  });

  it('keeps identity, settings and the audit log', async () => {
    expect(store.identity()).toBeNull();
    const identity = { uuid: asId<never>(instanceId(5)), hostname: 'node-1' };
    await store.setIdentity(identity);
    await store.setIdentity(identity);
    await expect(store.setIdentity({ ...identity, hostname: 'node-2' })).rejects.toMatchObject({ code: 'conflict' });
    await store.setSetting('one', '1');
    await store.setSetting('one', '2');
    await store.setSetting('two', '2');
    await store.setSetting('two', null);
    await store.audit({ by: 'rest:admin', action: 'maintenance', instance: null, operation: null });
    await store.close();
    store = await open();
    expect(store.identity()).toEqual(identity);
    expect([store.setting('one'), store.setting('two')]).toEqual(['2', null]);
    expect(store.listAudit(5)).toMatchObject([{ by: 'rest:admin', action: 'maintenance' }]);
  });

  it('lists by pages', async () => {
    for (const n of [1, 2, 3]) await built(store, n);
    await store.accept(request('destroy', 2, 20));
    await end(store, 20, 'succeeded', { n: 2, state: 'deleted' });
    const first = store.listInstances(null, { limit: 1, cursor: null });
    expect(first.instances.map((each) => each.uuid)).toEqual([instanceId(1)]);
    const second = store.listInstances(null, { limit: 1, cursor: first.next });
    expect(second.instances.map((each) => each.uuid)).toEqual([instanceId(3)]);
    expect(second.next).toBeNull();
    expect(store.listInstances('deleted', { limit: 5, cursor: null }).instances).toHaveLength(1);
    const builds = store.listOperations({ kind: 'build' }, { limit: 2, cursor: null });
    expect(builds.operations.map((each) => each.id)).toEqual([operationId(3), operationId(2)]);
    const rest = store.listOperations({ kind: 'build' }, { limit: 2, cursor: builds.next });
    expect(rest).toMatchObject({ operations: [{ id: operationId(1) }], next: null });
    expect(store.listOperations({ instance: instanceId(2) }, { limit: 9, cursor: null }).operations).toHaveLength(2);
    expect(() => store.listOperations({}, { limit: 1, cursor: 'x' })).toThrowError(/cursor/);
  });
});
