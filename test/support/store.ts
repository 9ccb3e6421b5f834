import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AcceptRequest, AcceptResult, NodeStore } from '../../core/ports/node-store.ts';
import type { BindingRecord, FunctionRecord } from '../../core/records.ts';
import { asId, type FunctionId, type InstanceId, type OperationId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { openStore, type StoreOptions } from '../../soc-daemon/store/store.ts';

/** A key for stores of tests. */
export const testKey = Buffer.alloc(32, 7);

/** A private temporary directory, and its removal. */
export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'dpu-store-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A store in a directory, quick and not durable unless told. */
export function openTestStore(directory: string, options: Partial<StoreOptions> = {}): Promise<NodeStore> {
  return openStore({
    file: join(directory, 'store.db'),
    key: testKey,
    clock: systemClock,
    mode: 'inline',
    durability: 'off',
    ...options,
  });
}

/** The n-th uuid of a kind. */
export function uuid(kind: number, n: number): string {
  return `${String(kind).padStart(8, '0')}-0000-4000-8000-${String(n).padStart(12, '0')}`;
}

/** The n-th instance. */
export const instanceId = (n: number): InstanceId => asId<InstanceId>(uuid(1, n));
/** The n-th operation. */
export const operationId = (n: number): OperationId => asId<OperationId>(uuid(2, n));

/** A request to build the n-th instance by the n-th operation. */
export function buildRequest(n: number, more: Partial<AcceptRequest> = {}): AcceptRequest {
  const instance = instanceId(n);
  return {
    operation: {
      id: operationId(n),
      kind: 'build',
      planVersion: 1,
      instance,
      request: { name: `i${n}` },
      requestedBy: 'test',
      requestId: null,
    },
    key: `build:${instance}`,
    fingerprint: { name: `i${n}` },
    newInstance: {
      id: instance,
      name: `i${n}`,
      flavor: { name: '4c8g', vcpus: 4, memory_mib: 8192 },
      claimed: true,
      metadata: { a: 'b' },
      sshKeys: [],
    },
    claimsHost: false,
    secrets: [],
    ...more,
  };
}

/** A request for another operation, `op`, of the n-th instance. */
export function request(
  kind: AcceptRequest['operation']['kind'],
  n: number,
  op: number,
  more: Partial<AcceptRequest> = {},
): AcceptRequest {
  const build = buildRequest(n);
  return {
    ...build,
    operation: { ...build.operation, id: operationId(op), kind, request: {} },
    key: kind === 'destroy' ? `destroy:${instanceId(n)}` : null,
    fingerprint: {},
    newInstance: null,
    ...more,
  };
}

/** Ends an operation, and leaves its instance in a state. */
export async function end(
  store: NodeStore,
  op: number,
  state: 'succeeded' | 'failed' | 'cancelled',
  instance: { readonly n: number; readonly state: 'active' | 'stopped' | 'error' | 'deleted' },
): Promise<void> {
  await store.write([
    {
      type: 'records',
      changes: [
        {
          type: 'instance',
          id: instanceId(instance.n),
          patch: { state: instance.state, ...(instance.state === 'deleted' ? { claimed: false } : {}) },
        },
      ],
    },
    { type: 'state', operation: operationId(op), state },
  ]);
}

/** Accepts and builds the n-th instance to `active`. */
export async function built(store: NodeStore, n: number, more: Partial<AcceptRequest> = {}): Promise<AcceptResult> {
  const result = await store.accept(buildRequest(n, more));
  await end(store, n, 'succeeded', { n, state: 'active' });
  return result;
}

/** A network function of an instance. */
export function nic(n: number, id: string): FunctionRecord {
  return {
    id: asId<FunctionId>(id),
    instance: instanceId(n),
    type: 'PF',
    class: 'virtio-net',
    role: 'nic',
    phase: 'intended',
    mac: null,
    bdf: null,
    bdfState: 'pending',
    representor: null,
    vuid: null,
  };
}

/** What a function serves. */
export function binding(n: number, functionId: string, kind: BindingRecord['kind'] = 'port'): BindingRecord {
  return {
    functionId: asId<FunctionId>(functionId),
    instance: instanceId(n),
    kind,
    key: `key-of-${functionId}`,
    phase: 'intended',
    madeForInstance: true,
    ips: ['10.0.0.2'],
    boot: kind === 'volume',
    readOnly: false,
    sizeBytes: null,
    bdev: null,
    connectionSecret: null,
    qos: null,
  };
}
