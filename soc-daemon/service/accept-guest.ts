/** Requests that change what an instance starts from or is told. */

import { diskFunctionId, rebuiltVolumeId, rescueFunctionId, rescueVolumeId } from '../../core/derived-ids.ts';
import { DpuError } from '../../core/errors.ts';
import type { DiskInput } from '../../core/operation/inputs.ts';
import type { Args } from '../../core/ports/compute-service.ts';
import type { NodeStore, SecretPart } from '../../core/ports/node-store.ts';
import type { BindingRecord, InstanceRecord } from '../../core/records.ts';
import { asId, type JsonObject, type VolumeId } from '../../core/units.ts';
import { type GuestDefaults, guestOf, sealPassword, sealUserdata } from './guest.ts';
import { imageOf, type RequestParts, resolveDisk } from './requests.ts';

/** What such requests are accepted with. */
export interface GuestParts extends RequestParts {
  readonly store: NodeStore;
  readonly guests: GuestDefaults;
}

/** A request without secrets, and those apart. */
export interface GuestRequest {
  readonly request: JsonObject;
  readonly secrets: readonly SecretPart[];
}

const sealed = (id: string | null): JsonObject | null => (id === null ? null : { $secret: id });

/** `rebuild_instance`. @throws DpuError `bad_state`, `invalid` (no image is known), `unsupported` (the boot volume is another's), `not_found`. */
export async function resolveRebuild(
  parts: GuestParts,
  record: InstanceRecord,
  args: Args<'rebuild_instance'>,
  requestKey: string,
): Promise<GuestRequest> {
  const { store } = parts;
  if (!record.claimed) {
    throw new DpuError('bad_state', 'the instance was never whole: destroy it, and build it again');
  }
  const bound = store.bindings(record.id).find((each) => each.boot);
  const root = await rebuiltRoot(parts, record, bound, args.image, requestKey);
  const metadata = args.metadata ?? record.metadata;
  const told = await sealUserdata(parts, args.userdata, metadata);
  const request = {
    instance: record.id,
    root,
    ...(args.userdata === undefined ? {} : { userdata: sealed(told.userData) }),
    password: sealed(told.password),
    ...(args.metadata === undefined ? {} : { metadata: args.metadata }),
    ...(args.ssh_keys === undefined ? {} : { ssh_keys: args.ssh_keys }),
  };
  return { request: request as unknown as JsonObject, secrets: told.secrets };
}

/** The new boot disk; null where the one that is there stays, because its content is another's. */
async function rebuiltRoot(
  parts: GuestParts,
  record: InstanceRecord,
  bound: BindingRecord | undefined,
  asked: string | undefined,
  requestKey: string,
): Promise<DiskInput | null> {
  if (bound && !bound.madeForInstance) {
    if (asked === undefined) return null;
    const why =
      'the boot volume is not ours: detach it while the instance is stopped, write it anew, and attach it again';
    throw new DpuError('unsupported', why, { field: 'image' });
  }
  const name = asked ?? guestOf(record).image;
  if (name === null) throw new DpuError('invalid', 'nobody knows what image it was made from', { field: 'image' });
  const image = await imageOf(parts, name, 'image');
  return diskFromImage(record, rebuiltVolumeId(record.id, requestKey), {
    boot: true,
    image: image.id,
    sizeBytes: Math.max(image.minSizeBytes, bound?.sizeBytes ?? 0),
  });
}

/** `rescue_instance`. @throws DpuError `bad_state` (no boot disk), `invalid` (no image is known, or a volume too), `conflict`, `not_found`. */
export async function resolveRescue(
  parts: GuestParts,
  record: InstanceRecord,
  args: Args<'rescue_instance'>,
): Promise<GuestRequest> {
  const bindings = parts.store.bindings(record.id);
  if (!bindings.some((each) => each.boot))
    throw new DpuError('bad_state', 'the instance has no boot disk that could be looked at');
  if (args.volume && bindings.some((each) => each.key === args.volume?.volume_id))
    throw new DpuError('conflict', 'the instance has the volume already', { field: 'volume.volume_id' });
  const { disk, secrets } = await rescueDisk(parts, record, args);
  const password = args.admin_pass === undefined ? null : await sealPassword(parts, args.admin_pass, record.metadata);
  const request = { instance: record.id, disk, password: sealed(password?.id ?? null) };
  return { request: request as unknown as JsonObject, secrets: [...secrets, ...(password?.secrets ?? [])] };
}

/** What a rescued instance starts from: a volume that it is given, or one that is made from an image. Its function is always the same. */
async function rescueDisk(
  parts: GuestParts,
  record: InstanceRecord,
  args: Args<'rescue_instance'>,
): Promise<{ readonly disk: DiskInput; readonly secrets: readonly SecretPart[] }> {
  const functionId = rescueFunctionId(record.id);
  if (args.volume) {
    if (args.image !== undefined) throw new DpuError('invalid', 'an image or a volume, not both', { field: 'image' });
    return await resolveDisk(parts, record.id, args.volume, 'volume', functionId);
  }
  const name = args.image ?? parts.guests.rescueImage ?? guestOf(record).image;
  if (name === null) throw new DpuError('invalid', 'no image to rescue with is known', { field: 'image' });
  const image = await imageOf(parts, name, 'image');
  const of = { boot: false, image: image.id, sizeBytes: image.minSizeBytes };
  return { disk: { ...diskFromImage(record, rescueVolumeId(record.id), of), functionId }, secrets: [] };
}

/** `reset_instance_admin_password`. @throws DpuError `invalid`. */
export async function resolvePassword(
  parts: GuestParts,
  record: InstanceRecord,
  args: Args<'reset_instance_admin_password'>,
): Promise<GuestRequest> {
  const { id, secrets } = await sealPassword(parts, args.new_password, record.metadata);
  return { request: { instance: record.id, password: sealed(id) }, secrets };
}

function diskFromImage(
  { id }: InstanceRecord,
  volume: string,
  of: { readonly boot: boolean; readonly image: string; readonly sizeBytes: number },
): DiskInput {
  const volumeId = asId<VolumeId>(volume);
  return {
    volumeId,
    functionId: diskFunctionId(id, volumeId),
    boot: of.boot,
    readOnly: false,
    sizeBytes: of.sizeBytes,
    fromImage: of.image,
    connectionSecret: null,
  };
}
