/** From the arguments of resizing and of moving an instance to what the store accepts. */

import { driveVolumeId } from '../../core/derived-ids.ts';
import { DpuError } from '../../core/errors.ts';
import type { Args } from '../../core/ports/compute-service.ts';
import type { AcceptRequest, NodeStore } from '../../core/ports/node-store.ts';
import type { HostInventory } from '../../core/ports/power-controller.ts';
import type { Flavor, InstanceRecord } from '../../core/records.ts';
import type { JsonObject } from '../../core/units.ts';
import { type CatalogueFlavor, resolveFlavor } from './flavors.ts';

/** The share of a VM node that a request wants; null where it is not shared, or nobody knows how much there is. */
export function shareOf(
  parts: { readonly nodeType: 'BM' | 'VM'; readonly inventory: () => HostInventory | null },
  flavor: Flavor,
): NonNullable<AcceptRequest['share']> | null {
  const host = parts.nodeType === 'VM' ? parts.inventory() : null;
  if (!host) return null;
  return { vcpus: flavor.vcpus, memoryMib: flavor.memory_mib, of: { vcpus: host.cpus, memoryMib: host.memoryMib } };
}

/** `resize_vm`: the new sizes beside the present ones. @throws `not_found` (flavor). */
export function resizeRequest(
  record: InstanceRecord,
  args: Args<'resize_vm'>,
  flavors: Readonly<Record<string, CatalogueFlavor>>,
): { readonly request: JsonObject; readonly flavor: Flavor } {
  const { rootGib: _, ...flavor } = resolveFlavor(args.new_flavor, flavors, 'new_flavor');
  const { id: instance, name, flavor: before } = record;
  return { request: { instance, name, flavor, before } as unknown as JsonObject, flavor };
}

/**
 * `prepare_migration`: an instance moves with volumes that others made. One that this node made for it can be reached from nowhere else.
 * @throws `unsupported`.
 */
export function prepareMigrationRequest(store: NodeStore, record: InstanceRecord): JsonObject {
  const { id: instance } = record;
  const drive: string = driveVolumeId(instance);
  const stays = store
    .bindings(instance)
    .find((each) => each.kind === 'volume' && each.madeForInstance && each.key !== drive);
  if (stays) {
    throw new DpuError('unsupported', 'a volume that this node made for the instance can not move with it', {
      field: 'uuid',
      details: { volume_id: stays.key },
    });
  }
  return { instance };
}
