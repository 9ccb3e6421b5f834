/** Specs that the contract suites and their harnesses share. */

import { diskFunctionId, nicFunctionId } from '../../core/derived-ids.ts';
import { DpuError, type ErrorCode } from '../../core/errors.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { FunctionSpec } from '../../core/ports/snic-controller.ts';
import { asId, type InstanceId, type Mac, type NodeId, type PortId, type VolumeId } from '../../core/units.ts';

export const node = asId<NodeId>('11111111-1111-4111-8111-111111111111');
export const instance = asId<InstanceId>('22222222-2222-4222-8222-222222222222');
export const otherInstance = asId<InstanceId>('33333333-3333-4333-8333-333333333333');
export const portId = asId<PortId>('44444444-4444-4444-8444-444444444444');
export const volumeId = asId<VolumeId>('55555555-5555-4555-8555-555555555555');
export const flavor = { name: '4c8g', vcpus: 4, memory_mib: 8192 } as const;

export function markOf(role: OwnershipMark['role'], key: string, owner: InstanceId = instance): OwnershipMark {
  return { node, instance: owner, role, key, name: 'i1', flavor };
}

export function nicSpec(port: PortId = portId, owner: InstanceId = instance): FunctionSpec {
  return {
    id: nicFunctionId(owner, port),
    type: 'PF',
    class: 'virtio-net',
    mac: macOf(port),
    features: [],
    mark: markOf('nic', port, owner),
  };
}

export function diskSpec(volume: VolumeId = volumeId, owner: InstanceId = instance): FunctionSpec {
  return {
    id: diskFunctionId(owner, volume),
    type: 'PF',
    class: 'virtio-blk',
    mac: null,
    features: [],
    mark: markOf('boot', volume, owner),
  };
}

/** A MAC that follows from an id. */
export function macOf(id: string): Mac {
  return `02:00:${id.slice(0, 8).match(/../g)?.join(':')}` as Mac;
}

/** The error that a promise rejects with; fails when it does not, or with another code. */
export async function rejection(promise: Promise<unknown>, code: ErrorCode): Promise<DpuError> {
  const error = await promise.then(
    () => {
      throw new Error(`expected a rejection with ${code}`);
    },
    (reason: unknown) => reason,
  );
  if (!(error instanceof DpuError)) throw error;
  if (error.code !== code) throw new Error(`expected ${code}, got ${error.code}: ${error.message}`, { cause: error });
  return error;
}
