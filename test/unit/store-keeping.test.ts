import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseMac } from '../../core/mac.ts';
import type { AllocationRequest, NodeStore, SecretPart } from '../../core/ports/node-store.ts';
import { asId, type FunctionId, type PortId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import {
  binding,
  buildRequest,
  built,
  end,
  instanceId,
  openTestStore,
  operationId,
  request,
  temporaryDirectory,
} from '../support/store.ts';

let place: ReturnType<typeof temporaryDirectory>;
let store: NodeStore;
let wallMs = 1_000_000;
const clock = { ...systemClock, wallMs: () => wallMs };
beforeEach(async () => {
  place = temporaryDirectory();
  wallMs = 1_000_000;
  store = await openTestStore(place.path, { clock, outboxCap: 20 });
});
afterEach(async () => {
  await store.close();
  place.remove();
});

describe('secrets', () => {
  const secrets: SecretPart[] = [
    { id: 'o', text: 'secret of the operation', keepWith: 'operation' },
    { id: 'i', text: 'secret of the instance', keepWith: 'instance' },
    { id: 'b', text: 'secret of the binding', keepWith: { functionId: 'f1' } },
    { id: 'n', text: 'secret of a binding that never was', keepWith: { functionId: 'f2' } },
  ];
  const kept = async (): Promise<string> => {
    const found = await Promise.allSettled(['o', 'i', 'b', 'n'].map((id) => store.readSecret(id).then(() => id)));
    return found.map((each) => (each.status === 'fulfilled' ? each.value : '-')).join('');
  };

  it('are erased with what they are kept with', async () => {
    await store.accept(buildRequest(1, { secrets }));
    await store.write([{ type: 'records', changes: [{ type: 'binding', record: binding(1, 'f1') }] }]);
    expect(await store.readSecret('b')).toBe('secret of the binding');
    await store.write([{ type: 'state', operation: operationId(1), state: 'stuck' }]);
    expect(await kept()).toBe('oibn');
    await end(store, 1, 'succeeded', { n: 1, state: 'active' });
    expect(await kept()).toBe('-ib-');
    await store.change([{ type: 'binding-gone', functionId: asId<FunctionId>('f1') }]);
    expect(await kept()).toBe('-i--');
    await store.accept(request('destroy', 1, 2));
    await end(store, 2, 'succeeded', { n: 1, state: 'deleted' });
    expect(await kept()).toBe('----');
    await expect(store.readSecret('i')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('are compared by an HMAC that does not depend on the order of keys', () => {
    expect(store.hmac({ a: 1, b: [{ c: 2, d: 3 }] })).toBe(store.hmac({ b: [{ d: 3, c: 2 }], a: 1 }));
    expect(store.hmac({ a: 1 })).not.toBe(store.hmac({ a: '1' }));
    expect(store.hmac([1, 2])).not.toBe(store.hmac([2, 1]));
  });
});

describe('reports', () => {
  it('are not kept where no platform takes them, nor those of before', async () => {
    await built(store, 1);
    expect(store.casts(10)).not.toEqual([]);
    await store.close();
    store = await openTestStore(place.path, { clock, outboxCap: 0 });
    expect(store.casts(10)).toEqual([]);
    await built(store, 2);
    expect(store.casts(10)).toEqual([]);
  });
});

describe('prune', () => {
  it('removes by age and number, never what has not ended', async () => {
    await built(store, 1);
    await store.accept(request('destroy', 1, 10));
    await end(store, 10, 'succeeded', { n: 1, state: 'deleted' });
    await built(store, 2);
    await store.accept(request('stop', 2, 11));
    await store.accept(buildRequest(3));
    await store.write([{ type: 'state', operation: operationId(3), state: 'stuck' }]);
    wallMs += 1000;
    await store.prune({ olderThanMs: 5000, maxOperations: 100 });
    expect(store.listOperations({}, { limit: 99, cursor: null }).operations).toHaveLength(5);
    await store.prune({ olderThanMs: 500, maxOperations: 100 });
    const left = store.listOperations({}, { limit: 99, cursor: null }).operations.map((each) => each.id);
    // The build of instance 2 stays, since it answers a repeat.
    expect(left).toEqual([operationId(3), operationId(11), operationId(2)]);
    expect(store.getInstance(instanceId(1))).toBeNull();
    expect(store.listAudit(10)).toEqual([]);
    expect(await store.accept(buildRequest(2))).toMatchObject({ outcome: 'same' });
    expect(await store.accept({ ...buildRequest(1) })).toMatchObject({ outcome: 'accepted' });
  });

  it('keeps the newest operations', async () => {
    await built(store, 1);
    for (let op = 10; op < 20; op += 1) {
      await store.accept(request('reboot', 1, op));
      await end(store, op, 'succeeded', { n: 1, state: 'active' });
    }
    await store.prune({ olderThanMs: 1e9, maxOperations: 3 });
    const left = store.listOperations({}, { limit: 99, cursor: null }).operations.map((each) => each.id);
    expect(left).toEqual([19, 18, 17, 1].map(operationId));
  });
});

describe('the outbox', () => {
  it('drops superseded casts of an instance above its cap and keeps the newest of each', async () => {
    await built(store, 1);
    await built(store, 2);
    for (let index = 0; index < 60; index += 1) {
      const state = index % 2 === 0 ? 'stopped' : 'active';
      await store.change([{ type: 'instance', id: instanceId(1), patch: { state } }]);
    }
    const casts = store.casts(1000);
    expect(casts.length).toBeLessThanOrEqual(20);
    const last = casts.filter((cast) => cast.instance === instanceId(1)).at(-1);
    expect(last?.args.generation).toBe(store.getInstance(instanceId(1))?.generation);
    expect(casts.filter((cast) => cast.instance === instanceId(2)).at(-1)?.args).toMatchObject({ state: 'active' });
  });
});

describe('ports', () => {
  const wanted = (n: number, more: Partial<AllocationRequest> = {}): AllocationRequest => ({
    portId: asId<PortId>(`port-${n}`),
    subnet: 'net1',
    instance: instanceId(1),
    mac: null,
    macPrefix: 'fa:16:3e',
    first: 0x0a000002,
    last: 0x0a000005,
    except: [0x0a000003],
    ...more,
  });

  it('get the lowest free address, the same again, and no MAC that is in use', async () => {
    const first = await store.allocatePort(wanted(1));
    expect(first).toMatchObject({ ips: ['10.0.0.2'], madeForInstance: true, subnet: 'net1' });
    expect(first.mac).toMatch(/^fa:16:3e:/);
    expect(await store.allocatePort(wanted(1))).toEqual(first);
    await expect(store.allocatePort(wanted(1, { instance: instanceId(2) }))).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(store.allocatePort(wanted(2, { mac: first.mac }))).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.allocatePort(wanted(2))).toMatchObject({ ips: ['10.0.0.4'] });
    expect(await store.allocatePort(wanted(3))).toMatchObject({ ips: ['10.0.0.5'] });
    await expect(store.allocatePort(wanted(4))).rejects.toMatchObject({ code: 'exhausted' });
    expect(await store.allocatePort(wanted(4, { subnet: 'net2' }))).toMatchObject({ ips: ['10.0.0.2'] });
    await store.releasePort(asId<PortId>('port-1'));
    expect(await store.allocatePort(wanted(5))).toMatchObject({ ips: ['10.0.0.2'] });
  });

  it('are taken in as they are, and then in the way of others', async () => {
    const port = { ...(await store.allocatePort(wanted(1))), portId: asId<PortId>('other'), subnet: 'net3' };
    await expect(store.putPort(port)).rejects.toMatchObject({ code: 'conflict', field: 'mac' });
    const free = { ...port, mac: parseMac('02:00:00:00:00:01'), ips: ['fd00::1', '10.0.0.2'] };
    await store.putPort(free);
    await store.putPort({ ...free, mac: parseMac('02:00:00:00:00:02') });
    expect(store.ports().find((each) => each.portId === 'other')).toEqual(free);
    expect(await store.allocatePort(wanted(7, { subnet: 'net3' }))).toMatchObject({ ips: ['10.0.0.4'] });
  });

  it('never share an address or a MAC, whatever comes and goes', async () => {
    const step = fc.record({ n: fc.nat(30), release: fc.boolean(), subnet: fc.constantFrom('a', 'b') });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        for (const port of store.ports()) await store.releasePort(port.portId);
        const range = { first: 0xffffff00, last: 0xffffff0f, except: [0xffffff01] };
        await Promise.allSettled(
          steps.map(({ n, release, subnet }) =>
            release
              ? store.releasePort(asId<PortId>(`port-${n}`))
              : store.allocatePort(wanted(n, { ...range, subnet })),
          ),
        );
        const ports = store.ports();
        expect(new Set(ports.map((port) => port.mac)).size).toBe(ports.length);
        expect(new Set(ports.map((port) => `${port.subnet} ${port.ips[0]}`)).size).toBe(ports.length);
        expect(ports.every((port) => /^255\.255\.255\.([02-9]|1[0-5])$/.test(port.ips[0] ?? ''))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});
