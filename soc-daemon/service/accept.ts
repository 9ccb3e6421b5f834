/** From a method's arguments to what the store accepts: one function a kind of request. */

import { diskFunctionId, requestedSnapshotId } from '../../core/derived-ids.ts';
import { DpuError } from '../../core/errors.ts';
import type { InstanceState, OperationKind } from '../../core/instance-state.ts';
import type { Args, MutatingMethod } from '../../core/ports/compute-service.ts';
import type { AcceptRequest, NodeStore, SecretPart } from '../../core/ports/node-store.ts';
import type { HostInventory } from '../../core/ports/power-controller.ts';
import type { InstanceRecord } from '../../core/records.ts';
import { asId, type InstanceId, type Json, type JsonObject, type VolumeId } from '../../core/units.ts';
import { type GuestRequest, resolvePassword, resolveRebuild, resolveRescue } from './accept-guest.ts';
import type { CatalogueFlavor } from './flavors.ts';
import { resolveFlavor } from './flavors.ts';
import { driveDisk, type GuestDefaults, labelOf, sealUserdata } from './guest.ts';
import { prepareMigrationRequest, resizeRequest, shareOf } from './machine-requests.ts';
import { bootFunction } from './planner.ts';
import { type RequestParts, resolveDisk, resolveDisks, resolveNic, resolveNics } from './requests.ts';

/** Method -> the kind of operation that it begins. */
export const kindOfMethod = {
  build_and_run_instance: 'build',
  destroy_instance: 'destroy',
  start_instance: 'start',
  stop_instance: 'stop',
  reboot_instance: 'reboot',
  pause_vm: 'pause',
  unpause_vm: 'unpause',
  suspend_instance: 'suspend',
  resume_instance: 'resume',
  resize_vm: 'resize',
  rebuild_instance: 'rebuild',
  rescue_instance: 'rescue',
  unrescue_instance: 'unrescue',
  attach_interface: 'attach_interface',
  detach_interface: 'detach_interface',
  attach_volume: 'attach_volume',
  detach_volume: 'detach_volume',
  create_snapshot: 'create_snapshot',
  resize_volume: 'resize_volume',
  reset_instance_admin_password: 'reset_admin_password',
  set_interface_qos: 'set_interface_qos',
  prepare_migration: 'prepare_migration',
  finish_migration: 'finish_migration',
  abort_migration: 'abort_migration',
} as const satisfies Record<MutatingMethod, OperationKind>;

/** What requests are accepted with. */
export interface AcceptParts extends RequestParts {
  readonly store: NodeStore;
  readonly flavors: Readonly<Record<string, CatalogueFlavor>>;
  /** null until the BMC answered once. */
  readonly inventory: () => HostInventory | null;
  readonly guests: GuestDefaults;
}

/** What a method adds to the request that the store is given. */
export type Resolved = Pick<AcceptRequest, 'newInstance' | 'claimsHost' | 'share' | 'secrets'> & {
  readonly request: JsonObject;
};

const plain = (request: object, secrets: readonly SecretPart[] = []): Resolved => ({
  request: request as JsonObject,
  newInstance: null,
  claimsHost: false,
  secrets,
});

/** `build_and_run_instance`. @throws DpuError with the field that can't be had. */
export async function resolveBuild(
  parts: AcceptParts,
  instance: InstanceId,
  args: Args<'build_and_run_instance'>,
): Promise<Resolved> {
  const { rootGib: _, ...flavor } = resolveFlavor(args.flavor, parts.flavors);
  refuseTooLarge(flavor, parts.inventory());
  const [{ disks, secrets }, nics] = await Promise.all([
    resolveDisks(parts, instance, args, resolveFlavor(args.flavor, parts.flavors)),
    resolveNics(parts, instance, args.networks ?? []),
  ]);
  const metadata = args.metadata ?? {};
  const sshKeys = args.ssh_keys ?? [];
  const { userData, password, secrets: told } = await sealUserdata(parts, args.userdata, metadata);
  const label = labelOf(args.config_drive, parts.guests);
  const tell = { name: args.name, metadata, sshKeys, userData, password };
  const request = {
    instance,
    name: args.name,
    flavor,
    disks: label === null ? disks : [...disks, driveDisk(instance, label, tell, nics)],
    nics,
    userdata: userData === null ? null : { $secret: userData },
  };
  const image = disks.find((disk) => disk.boot)?.fromImage ?? null;
  return {
    request: request as unknown as JsonObject,
    newInstance: {
      id: instance,
      name: args.name,
      flavor,
      claimed: true,
      metadata,
      sshKeys,
      guest: { userData, password, passwordUntilMs: null, drive: label, image },
    },
    claimsHost: parts.nodeType === 'BM',
    share: shareOf(parts, flavor),
    secrets: [...secrets, ...told],
  };
}

function refuseTooLarge(flavor: { vcpus: number; memory_mib: number }, host: HostInventory | null): void {
  if (!host) return;
  if (flavor.vcpus > host.cpus || flavor.memory_mib > host.memoryMib) {
    throw new DpuError('exhausted', 'the flavor is larger than the host', {
      field: 'flavor',
      details: { host_cpus: host.cpus, host_memory_mib: host.memoryMib },
    });
  }
}

/** Every other method. @throws DpuError. */
export async function resolveChange(
  parts: AcceptParts,
  method: Exclude<MutatingMethod, 'build_and_run_instance'>,
  instance: InstanceId,
  args: JsonObject,
  requestKey: string,
): Promise<Resolved> {
  const { store } = parts;
  const record = store.getInstance(instance);
  const identity = record ? { instance, name: record.name, flavor: record.flavor } : { instance };
  const known = (): InstanceRecord => {
    if (!record || record.state === 'deleted') {
      throw new DpuError('not_found', 'instance does not exist', { field: 'uuid' });
    }
    return record;
  };
  const guest = ({ request, secrets }: GuestRequest): Resolved => plain(request, secrets);
  switch (method) {
    case 'rebuild_instance':
      return guest(await resolveRebuild(parts, known(), args as unknown as Args<typeof method>, requestKey));
    case 'rescue_instance':
      return guest(await resolveRescue(parts, known(), args as unknown as Args<typeof method>));
    case 'reset_instance_admin_password':
      return guest(await resolvePassword(parts, known(), args as unknown as Args<typeof method>));
    case 'start_instance':
    case 'reboot_instance':
      refuseWithoutBoot(parts, instance);
      return rest(instance, args);
    case 'destroy_instance':
      refuseWipe(parts.guests, args.wipe);
      return rest(instance, args);
    case 'attach_volume': {
      const entry = args.volume as unknown as Args<'attach_volume'>['volume'];
      if (entry.bootable) refuseSecondBoot(store, instance, record?.state);
      const functionId = diskFunctionId(instance, asId<VolumeId>(entry.volume_id));
      refuseAttached(store, instance, functionId, 'volume.volume_id');
      const { disk, secrets } = await resolveDisk(parts, instance, entry, 'volume');
      return plain({ ...identity, disk }, secrets);
    }
    case 'attach_interface': {
      const entry = args.network as unknown as Args<'attach_interface'>['network'];
      const nic = await resolveNic(parts, instance, entry, { request: requestKey, index: 0, field: 'network' });
      refuseAttached(store, instance, nic.functionId, 'network.port_id');
      return plain({ ...identity, nic });
    }
    case 'detach_volume':
      return plain(detachInput(store, instance, 'volume', args.volume_id, 'volume_id'));
    case 'detach_interface':
      return plain(detachInput(store, instance, 'port', args.port_id, 'port_id'));
    case 'resize_volume':
      return plain(resizeInput(store, instance, args as unknown as Args<'resize_volume'>));
    case 'create_snapshot':
      return plain(snapshotInput(store, instance, args as unknown as Args<'create_snapshot'>, requestKey));
    case 'resize_vm': {
      const { request, flavor } = resizeRequest(known(), args as unknown as Args<'resize_vm'>, parts.flavors);
      return { ...plain(request), share: shareOf(parts, flavor) };
    }
    case 'prepare_migration':
      return plain(prepareMigrationRequest(store, known()));
    case 'set_interface_qos':
      return plain(qosInput(store, instance, args as unknown as Args<'set_interface_qos'>));
    default:
      return rest(instance, args);
  }
}

/** A request that the planner reads as it is. */
function rest(instance: InstanceId, args: JsonObject): Resolved {
  const { wait: _wait, request_id: _id, uuid: _uuid, ...others } = args;
  return plain({ ...others, instance });
}

/** An instance whose boot disk was detached does not start. One that nobody knows is told of elsewhere. */
function refuseWithoutBoot({ store, nodeType }: AcceptParts, instance: InstanceId): void {
  const state = store.getInstance(instance)?.state;
  if (nodeType !== 'BM' || (state !== 'stopped' && state !== 'active')) return;
  if (bootFunction(store, instance) === null) throw new DpuError('bad_state', 'the instance has no boot disk');
}

function refuseSecondBoot(store: NodeStore, instance: InstanceId, state: InstanceState | undefined): void {
  const field = 'volume.bootable';
  if (bootFunction(store, instance) !== null) throw new DpuError('conflict', 'the instance has a boot disk', { field });
  if (state !== undefined && state !== 'stopped') {
    throw new DpuError('bad_state', 'a boot disk is attached while the instance is stopped', { field });
  }
}

function refuseWipe({ wipes }: GuestDefaults, wipe: Json | undefined): void {
  if (wipe === undefined || wipes.some((each) => each === wipe)) return;
  throw new DpuError('unsupported', 'volumes of this node can not be wiped like this', { field: 'wipe' });
}

function refuseAttached(store: NodeStore, instance: InstanceId, functionId: string, field: string): void {
  if (store.bindings(instance).some((binding) => binding.functionId === functionId)) {
    throw new DpuError('conflict', 'it is attached already', { field });
  }
}

function snapshotInput(
  store: NodeStore,
  instance: InstanceId,
  args: Args<'create_snapshot'>,
  requestKey: string,
): JsonObject {
  const binding = store.bindings(instance).find((each) => each.kind === 'volume' && each.key === args.volume_id);
  if (!binding) throw new DpuError('not_found', 'the instance has no such volume', { field: 'volume_id' });
  if (binding.connectionSecret !== null) {
    const why = 'the volume came with its connection: whoever gave that takes its snapshots';
    throw new DpuError('unsupported', why, { field: 'volume_id' });
  }
  const volumeId = asId<VolumeId>(binding.key);
  return {
    instance,
    volumeId,
    snapshotId: requestedSnapshotId(instance, volumeId, requestKey),
    name: args.name ?? null,
  };
}

function resizeInput(store: NodeStore, instance: InstanceId, args: Args<'resize_volume'>): JsonObject {
  const binding = store.bindings(instance).find((each) => each.kind === 'volume' && each.key === args.volume_id);
  if (!binding) throw new DpuError('not_found', 'the instance has no such volume', { field: 'volume_id' });
  if (args.size_bytes < (binding.sizeBytes ?? 0)) {
    throw new DpuError('invalid', `the volume has ${binding.sizeBytes} bytes, and none shrinks`, {
      field: 'size_bytes',
    });
  }
  // one that came with its connection was grown by whoever gave that
  const grow = binding.connectionSecret === null;
  return { instance, volumeId: binding.key, functionId: binding.functionId, sizeBytes: args.size_bytes, grow };
}

function qosInput(store: NodeStore, instance: InstanceId, args: Args<'set_interface_qos'>): JsonObject {
  const binding = store.bindings(instance).find((each) => each.kind === 'port' && each.key === args.port_id);
  if (!binding) throw new DpuError('not_found', 'the instance has no such port', { field: 'port_id' });
  if (args.burst !== undefined) {
    throw new DpuError('unsupported', 'the size of a burst is chosen by the node', { field: 'burst' });
  }
  const qos = { bitsPerSecond: args.bps ?? 0, packetsPerSecond: args.pps ?? 0, direction: args.direction ?? 'both' };
  return { instance, functionId: binding.functionId, portId: binding.key, qos };
}

function detachInput(
  store: NodeStore,
  instance: InstanceId,
  kind: 'port' | 'volume',
  key: Json | undefined,
  field: string,
): JsonObject {
  const binding = store.bindings(instance).find((each) => each.kind === kind && each.key === key);
  if (!binding) throw new DpuError('not_found', `the instance has no such ${kind}`, { field });
  if (kind === 'volume' && binding.madeForInstance) {
    throw new DpuError('bad_state', 'the volume was made for its instance and goes with it', { field });
  }
  if (binding.functionId === bootFunction(store, instance) && store.getInstance(instance)?.state !== 'stopped') {
    throw new DpuError('bad_state', 'a boot disk is detached while the instance is stopped', { field });
  }
  return { instance, functionId: binding.functionId, key: binding.key, madeForInstance: binding.madeForInstance };
}
