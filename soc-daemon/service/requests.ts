/** Requests of the contract made into what the journal stores: resolved, checked, without secrets. */

import { diskFunctionId, nicFunctionId, requestedPortId, rootVolumeId } from '../../core/derived-ids.ts';
import { DpuError, hasCode } from '../../core/errors.ts';
import { parseMac } from '../../core/mac.ts';
import type { DiskInput, NicInput } from '../../core/operation/inputs.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
import type { SecretPart } from '../../core/ports/node-store.ts';
import type { Random } from '../../core/ports/random.ts';
import type { VolumeConnection } from '../../core/ports/storage-target.ts';
import type { Image, VolumeService } from '../../core/ports/volume-service.ts';
import {
  asId,
  type FunctionId,
  type InstanceId,
  type JsonObject,
  type NodeId,
  type PortId,
  type VolumeId,
} from '../../core/units.ts';
import type { NetworkRequest, VolumeRequest } from '../../schemas/generated/rpc.ts';
import type { ResolvedFlavor } from './flavors.ts';
import { patienceMs, within } from './within.ts';

/** What requests are resolved with. */
export interface RequestParts {
  readonly volumes: VolumeService;
  readonly networks: NetworkService;
  readonly node: NodeId;
  readonly random: Random;
  readonly clock: Clock;
  readonly nodeType: 'BM' | 'VM';
}

/** A lower error, told as one of the request's field. */
function aboutField(error: unknown, field: string): unknown {
  if (hasCode(error, 'not_found') || hasCode(error, 'conflict') || hasCode(error, 'invalid')) {
    const inner = error.field === undefined ? field : `${field}.${error.field}`;
    return new DpuError(error.code, error.message, { field: inner, cause: error });
  }
  return error;
}

/** Cinder's `connection_info` as the storage target takes it. @throws `invalid`. */
function connectionOf(info: JsonObject, field: string): VolumeConnection {
  const { driver_volume_type: protocol, data } = info;
  if (typeof protocol !== 'string' || typeof data !== 'object' || data === null || Array.isArray(data)) {
    throw new DpuError('invalid', `${field} must hold driver_volume_type and data`, { field });
  }
  return { protocol, data: data as JsonObject };
}

/** A volume entry; its function's id follows from it unless given. @throws `not_found` with its field, `unavailable`. */
export async function resolveDisk(
  parts: RequestParts,
  instance: InstanceId,
  entry: VolumeRequest,
  field: string,
  functionId: FunctionId = diskFunctionId(instance, asId<VolumeId>(entry.volume_id)),
): Promise<{ disk: DiskInput; secrets: readonly SecretPart[] }> {
  const volumeId = asId<VolumeId>(entry.volume_id);
  const base = {
    volumeId,
    functionId,
    boot: entry.bootable ?? false,
    readOnly: entry.read_only ?? false,
    fromImage: null,
  };
  if (base.boot && base.readOnly) {
    throw new DpuError('invalid', 'the boot volume cannot be read-only', { field: `${field}.read_only` });
  }
  if (entry.connection_info !== undefined) {
    const id = parts.random.uuid();
    const text = JSON.stringify(connectionOf(entry.connection_info as JsonObject, `${field}.connection_info`));
    return {
      disk: { ...base, sizeBytes: 0, connectionSecret: id },
      secrets: [{ id, text, keepWith: { functionId } }],
    };
  }
  try {
    const volume = await within(parts.clock, patienceMs.ask, (signal) => parts.volumes.getVolume(volumeId, signal));
    return { disk: { ...base, sizeBytes: volume.sizeBytes, connectionSecret: null }, secrets: [] };
  } catch (error) {
    throw aboutField(error, `${field}.volume_id`);
  }
}

/** A network entry; `request` names what it belongs to, so that a repeat finds the same port. */
export async function resolveNic(
  parts: RequestParts,
  instance: InstanceId,
  entry: NetworkRequest,
  place: { readonly request: string; readonly index: number; readonly field: string },
): Promise<NicInput> {
  const portId =
    entry.port_id === undefined ? requestedPortId(instance, place.request, place.index) : asId<PortId>(entry.port_id);
  const nic: NicInput = {
    portId,
    functionId: nicFunctionId(instance, portId),
    subnet: entry.port_id === undefined ? (entry.subnet ?? null) : null,
    mac: entry.mac === undefined ? null : parseMac(entry.mac, `${place.field}.mac`),
    type: entry.type ?? (parts.nodeType === 'VM' ? 'VF' : 'PF'),
  };
  try {
    const spec = { portId, subnet: nic.subnet, mac: nic.mac, node: parts.node, instance };
    await within(parts.clock, patienceMs.ask, (signal) => parts.networks.check(spec, signal));
  } catch (error) {
    throw aboutField(error, place.field);
  }
  return nic;
}

/** Refuses a value that stands twice. */
function refuseTwice(values: readonly (string | null)[], field: (index: number) => string): void {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (value === null) continue;
    if (seen.has(value)) throw new DpuError('invalid', `${field(index)} stands twice`, { field: field(index) });
    seen.add(value);
  }
}

/** The disks of a build: those it brings, and one from the image where none of them is bootable. */
export async function resolveDisks(
  parts: RequestParts,
  instance: InstanceId,
  request: { readonly image?: string; readonly volumes?: readonly VolumeRequest[] },
  flavor: ResolvedFlavor,
): Promise<{ disks: readonly DiskInput[]; secrets: readonly SecretPart[] }> {
  const entries = request.volumes ?? [];
  refuseTwice(
    entries.map((entry) => entry.volume_id),
    (index) => `volumes[${index}].volume_id`,
  );
  refuseTwice(
    entries.map((entry) => (entry.bootable ? 'bootable' : null)),
    (index) => `volumes[${index}].bootable`,
  );
  const resolved = await Promise.all(
    entries.map((entry, index) => resolveDisk(parts, instance, entry, `volumes[${index}]`)),
  );
  const disks = resolved.map(({ disk }) => disk);
  const secrets = resolved.flatMap((each) => each.secrets);
  if (disks.some((disk) => disk.boot)) return { disks, secrets };
  if (request.image === undefined) {
    throw new DpuError('invalid', 'neither an image nor a bootable volume is given', { field: 'image' });
  }
  const image = await imageOf(parts, request.image, 'image');
  const volumeId = rootVolumeId(instance);
  const root: DiskInput = {
    volumeId,
    functionId: diskFunctionId(instance, volumeId),
    boot: true,
    readOnly: false,
    sizeBytes: Math.max(image.minSizeBytes, (flavor.rootGib ?? 0) * 2 ** 30),
    fromImage: image.id,
    connectionSecret: null,
  };
  return { disks: [root, ...disks], secrets };
}

/** An image by name or id. @throws `not_found` with the field, `unavailable`. */
export async function imageOf(parts: RequestParts, name: string, field: string): Promise<Image> {
  try {
    return await within(parts.clock, patienceMs.ask, (signal) => parts.volumes.getImage(name, signal));
  } catch (error) {
    throw aboutField(error, field);
  }
}

/** The NICs of a build. */
export async function resolveNics(
  parts: RequestParts,
  instance: InstanceId,
  entries: readonly NetworkRequest[],
): Promise<readonly NicInput[]> {
  refuseTwice(
    entries.map((entry) => entry.port_id ?? null),
    (index) => `networks[${index}].port_id`,
  );
  const nics = await Promise.all(
    entries.map((entry, index) =>
      resolveNic(parts, instance, entry, { request: 'build', index, field: `networks[${index}]` }),
    ),
  );
  refuseTwice(
    nics.map((nic) => nic.mac),
    (index) => `networks[${index}].mac`,
  );
  return nics;
}
