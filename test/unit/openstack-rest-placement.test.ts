import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { objectOf, textsOf } from '../../platform-adapter/openstack/rest/fields.ts';
import type { HttpClient } from '../../platform-adapter/openstack/rest/http.ts';
import { createPlacement, type Placement } from '../../platform-adapter/openstack/rest/placement.ts';
import { isGenerationConflict, retryOnGenerationConflict } from '../../platform-adapter/openstack/rest/rest-errors.ts';
import { rejection } from '../contract/samples.ts';
import {
  type Answer,
  callerOf,
  recorded,
  startService,
  type TestService,
  testClient,
} from './openstack-rest/service.ts';

const uuid = '684b17ee-7fe7-477a-805d-0f3a12cce78b';
const changed: Answer = {
  status: 409,
  json: { errors: [{ status: 409, code: 'placement.concurrent_update', detail: 'x' }] },
};
const refused: Answer = {
  status: 409,
  json: { errors: [{ status: 409, code: 'placement.undefined_code', detail: 'x' }] },
};

let service: TestService;
let http: HttpClient;
let placement: Placement;

beforeEach(async () => {
  service = await startService();
  http = testClient();
  placement = createPlacement(callerOf(service.url, http));
});

afterEach(async () => {
  http.close();
  await service[Symbol.asyncDispose]();
});

it('registers a node with the requests of nova-compute', async () => {
  const exchanges = recorded.startup.placement;
  service.next.push(...exchanges.map(({ status, response }) => ({ status, json: response })));
  const found = await placement.ensureProvider({ uuid, name: 'fake1' });
  expect(found).toEqual({ uuid, name: 'fake1', generation: 0, parentUuid: null, rootUuid: uuid });
  expect(await placement.providerAllocations(uuid)).toEqual({ generation: 0, allocations: {} });
  const all = { minUnit: 1, stepSize: 1 };
  const { generation } = await placement.putInventories(uuid, {
    generation: 0,
    inventories: {
      VCPU: { ...all, total: 1000, maxUnit: 1000, allocationRatio: 16, reserved: 0 },
      MEMORY_MB: { ...all, total: 800_000, maxUnit: 800_000, allocationRatio: 1.5, reserved: 512 },
      DISK_GB: { ...all, total: 600_000, maxUnit: 600_000, allocationRatio: 1, reserved: 0 },
    },
  });
  const asked = textsOf(objectOf(exchanges.at(-1)?.request, 'request'), 'traits');
  const known = await placement.knownTraits(asked);
  expect([...known].sort()).toEqual([...asked].sort());
  expect(await placement.putTraits(uuid, { generation, traits: asked })).toMatchObject({ generation: 2 });

  expect(
    service.seen.map(({ method, path, json }) => [method, decodeURIComponent(path), json === '' ? null : json]),
  ).toEqual(exchanges.map(({ method, path, request }) => [method, path, request]));
  expect(new Set(service.seen.map(({ headers }) => headers['openstack-api-version']))).toEqual(
    new Set(['placement 1.28']),
  );
});

describe('when somebody else wrote meanwhile', () => {
  const work = async () => {
    const { generation, traits } = await placement.getTraits(uuid);
    return await placement.putTraits(uuid, { generation, traits: [...traits, 'COMPUTE_NODE'] });
  };
  const traits = (generation: number): Answer => ({
    status: 200,
    json: { resource_provider_generation: generation, traits: [] },
  });

  it('reads anew and writes again', async () => {
    service.next.push(traits(1), changed, traits(2), traits(3));
    expect(await retryOnGenerationConflict(work)).toEqual({ generation: 3, traits: [] });
    expect(service.seen.map(({ method }) => method)).toEqual(['GET', 'PUT', 'GET', 'PUT']);
    expect(service.seen[3]?.json).toEqual({ resource_provider_generation: 2, traits: ['COMPUTE_NODE'] });
  });

  it('gives up after some times, saying why', async () => {
    service.answer = ({ method }) => (method === 'GET' ? traits(1) : changed);
    expect(isGenerationConflict(await rejection(retryOnGenerationConflict(work), 'conflict'))).toBe(true);
    expect(service.seen).toHaveLength(8);
  });

  it('does so for nothing else', async () => {
    service.answer = ({ method }) => (method === 'GET' ? traits(1) : refused);
    expect(isGenerationConflict(await rejection(retryOnGenerationConflict(work), 'conflict'))).toBe(false);
    expect(service.seen).toHaveLength(2);
  });
});

describe('a provider', () => {
  const body = { uuid, name: 'n', generation: 4, parent_provider_uuid: null, root_provider_uuid: uuid };

  it('that was made by a try whose answer was lost is found', async () => {
    service.next.push({ status: 200, json: { resource_providers: [] } }, 'reset', {
      status: 200,
      json: { resource_providers: [body] },
    });
    expect(await placement.ensureProvider({ uuid, name: 'n' })).toMatchObject({ generation: 4 });
  });

  it('whose name another one has is refused', async () => {
    service.answer = ({ method }) => (method === 'GET' ? { status: 200, json: { resource_providers: [] } } : refused);
    await rejection(placement.ensureProvider({ uuid, name: 'n' }), 'conflict');
  });
});

describe('allocations', () => {
  const held = (generation: number | null) => ({
    allocations: { [uuid]: { resources: { VCPU: 1 }, generation: 3 } },
    project_id: 'project',
    user_id: 'user',
    consumer_generation: generation,
  });

  it('are moved in one request, and again after somebody wrote', async () => {
    const none = { status: 200, json: { allocations: {} } } as const;
    const some = { status: 200, json: held(1) } as const;
    service.next.push(some, none, changed, some, none, { status: 204 });
    expect(await placement.moveAllocations('migration', 'instance')).toBe(true);
    expect(service.seen.at(-1)).toMatchObject({
      method: 'POST',
      path: '/allocations',
      json: {
        migration: { allocations: {}, project_id: 'project', user_id: 'user', consumer_generation: 1 },
        instance: {
          allocations: { [uuid]: { resources: { VCPU: 1 } } },
          project_id: 'project',
          user_id: 'user',
          consumer_generation: null,
        },
      },
    });
    service.next.push(none);
    expect(await placement.moveAllocations('migration', 'instance')).toBe(false);
  });

  it('are refused where there is not that much', async () => {
    service.next.push(refused);
    const allocations = { allocations: {}, projectId: 'p', userId: 'u', consumerGeneration: null };
    await rejection(placement.putAllocations('instance', allocations), 'exhausted');
    service.next.push(changed);
    expect(isGenerationConflict(await rejection(placement.putAllocations('instance', allocations), 'conflict'))).toBe(
      true,
    );
    const nobodys = placement.putAllocations('instance', { ...allocations, projectId: null });
    expect((await rejection(nobodys, 'invalid')).field).toBe('projectId');
  });

  it('that are gone are deleted', async () => {
    await placement.deleteAllocations('instance');
    expect(service.seen).toMatchObject([{ method: 'DELETE', path: '/allocations/instance' }]);
  });
});
