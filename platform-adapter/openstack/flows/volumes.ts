import { DpuError, hasCode, toDpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { asInitiator } from '../connector.ts';
import type { CinderVolume, NewVolume } from '../rest/cinder.ts';
import { listBlockDevices, type NovaBlockDevice, saveBlockDevice } from '../wire/block-devices.ts';
import { novaError } from '../wire/nova-errors.ts';
import { forEach } from './each.ts';
import { type Flow, making, type Stage, sentInstance } from './flow.ts';
import { ifThere } from './nova-record.ts';

/** A volume that the server has, ready to be shown to the instance. */
export interface ServerVolume {
  readonly volume: string;
  readonly boot: boolean;
  /** `/dev/vda` */
  readonly device: string;
  /** Cinder's; may hold secrets. */
  readonly connection: JsonObject;
  readonly attachment: string;
}

/** A volume to take from a server. */
export interface VolumeToRelease {
  readonly volume: string;
  readonly attachment: string | null;
  /** It goes with the server (delete_on_termination). */
  readonly goesToo: boolean;
}

/** Cinder's metadata of volumes that we make: a second try finds the first one's by it. */
const madeFor = { instance: 'dpu_compute_instance', device: 'dpu_compute_device' } as const;

/** How long one look for a volume that is being made lasts; then the stage looks again. */
const makeMs = 600_000;

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/** Whether a mapping is a disk that Cinder has or will have. All disks of our nodes are; `no_device` is nova's word for none. */
function isDisk(device: NovaBlockDevice): boolean {
  return !device.no_device;
}

/** The order in which a server's disks are shown: the root, others with a boot index, the rest as they were made. */
export function inBootOrder(devices: readonly NovaBlockDevice[]): readonly NovaBlockDevice[] {
  const rank = ({ boot_index }: NovaBlockDevice): number =>
    boot_index === null || boot_index < 0 ? Number.MAX_SAFE_INTEGER : boot_index;
  return devices.filter(isDisk).sort((one, other) => rank(one) - rank(other) || (one.id ?? 0) - (other.id ?? 0));
}

/** The name of the n-th disk, by nova's custom: `/dev/vda`. */
export function deviceName(index: number): string {
  const letter = (value: number): string => String.fromCharCode(97 + value);
  return `/dev/vd${index < 26 ? letter(index) : letter(Math.floor(index / 26) - 1) + letter(index % 26)}`;
}

/** The name of each disk, in their order: the one that it has, or else the first that no other has. */
export function deviceNames(devices: readonly NovaBlockDevice[]): readonly string[] {
  const taken = new Set(devices.map(({ device_name: name }) => name));
  let next = 0;
  return devices.map(({ device_name: name }) => {
    if (name !== null) return name;
    while (taken.has(deviceName(next))) next += 1;
    return deviceName(next++);
  });
}

/** GiB of a volume that is to be made for a mapping. */
function sizeOf(flow: Flow, device: NovaBlockDevice): number {
  const { flavor, root_gb } = sentInstance(flow);
  const {
    min_disk: minDisk = 0,
    virtual_size: virtual = 0,
    size = 0,
  } = (flow.request.image ?? {}) as {
    min_disk?: number;
    virtual_size?: number | null;
    size?: number | null;
  };
  if (device.volume_size !== null && device.volume_size > 0)
    return device.guest_format === 'swap' ? Math.ceil(device.volume_size / 1024) : device.volume_size; // nova has swap in MiB
  const ofImage = Math.ceil(Math.max(virtual ?? 0, size ?? 0) / 2 ** 30);
  return Math.max(flavor?.root_gb ?? root_gb ?? 0, minDisk, ofImage, 1);
}

/** What a mapping's volume is made of; null: the volume is there. */
function sourceOf(flow: Flow, device: NovaBlockDevice): Pick<NewVolume, 'imageId' | 'snapshotId' | 'sizeGib'> | null {
  const sizeGib = sizeOf(flow, device);
  switch (device.source_type) {
    case 'volume':
      return null;
    case 'image':
      if (device.image_id === null) throw novaError('InvalidBDM');
      return { sizeGib, imageId: device.image_id };
    case 'snapshot':
      if (device.snapshot_id === null) throw novaError('InvalidBDM');
      return { sizeGib, snapshotId: device.snapshot_id };
    case 'blank':
      return { sizeGib };
    default:
      throw novaError('InvalidBDM');
  }
}

/**
 * Whether a volume that says that it was made for the server may be: it is in the server's project, or in that of who asked. Anybody can write such metadata on a
 * volume of its own, and would have the server start from it.
 */
export function isOfRequest(flow: Flow, { projectId }: Pick<CinderVolume, 'projectId'>): boolean {
  return projectId !== null && [sentInstance(flow).project_id, flow.context.project_id].includes(projectId);
}

/**
 * The volume of a mapping, made in the user's project where it is to be made. Only the user can make it there: once the token is lost by a
 * restart, the volume that was not asked for yet can't be had.
 */
async function ensureVolume(flow: Flow, device: NovaBlockDevice, signal: AbortSignal): Promise<CinderVolume> {
  const { cinder } = flow.parts.services;
  if (device.volume_id !== null) return await cinder.showVolume(device.volume_id, options(flow, signal));
  const source = sourceOf(flow, device);
  if (source === null) throw novaError('InvalidBDM');
  const metadata = { [madeFor.instance]: flow.instance, [madeFor.device]: device.uuid ?? String(device.id) };
  const found = await cinder.listVolumes({ metadata, allProjects: true }, options(flow, signal));
  let made = found.find((each) => isOfRequest(flow, each));
  if (made === undefined) {
    if (!flow.hasUser())
      throw new DpuError('denied', "the node was restarted, and the user's token with which a volume is made is gone");
    const zone = flow.settings.availabilityZone;
    const type = device.volume_type ?? flow.settings.volumeType;
    made = await flow.services().cinder.createVolume(
      {
        ...source,
        name: device.source_type === 'blank' ? `${flow.instance}-blank-vol` : '',
        metadata,
        ...(type === null ? {} : { volumeType: type }),
        ...(zone === null ? {} : { availabilityZone: zone }),
      },
      making(flow),
    );
  }
  return await cinder.waitForVolume(made.id, ['available', 'reserved', 'in-use', 'attaching'], {
    signal,
    timeoutMs: makeMs,
  });
}

/**
 * Of a volume that several servers may have at once (Cinder's multiattach): no storage target of ours lets two functions write one volume. Nova says the
 * same of every driver without the trait COMPUTE_VOLUME_MULTI_ATTACH. @throws MultiattachNotSupportedByVirtDriver as nova's class, always.
 */
export function refuseShared(volume: string): never {
  throw novaError('MultiattachNotSupportedByVirtDriver', { volume_id: volume });
}

/** The attachment of a volume to the server: the one that nova's API made, or ours where that is gone. */
async function ensureAttachment(
  flow: Flow,
  volume: string,
  known: string | null,
  signal: AbortSignal,
): Promise<string> {
  const { cinder } = flow.parts.services;
  if (known !== null) {
    try {
      return (await cinder.showAttachment(known, options(flow, signal))).id;
    } catch (error) {
      if (!hasCode(error, 'not_found')) throw error; // a host that failed before us gave it back
    }
  }
  const there = await cinder.listAttachments({ volumeId: volume, allProjects: true }, options(flow, signal));
  const own = there.find(({ instance }) => instance === flow.instance);
  if (own) return own.id;
  const made = await flow
    .services()
    .cinder.createAttachment({ volumeId: volume, instance: flow.instance }, making(flow));
  return made.id;
}

/**
 * Attaches a mapping's volume to this host in Cinder, making it first where it is to be made, and saves the mapping as nova would: after it the
 * mapping is a volume's. Cinder says `in-use` once the attachment is complete; with `complete: false` that is left to the caller.
 */
export async function ensureAttached(
  flow: Flow,
  device: NovaBlockDevice,
  name: string,
  signal: AbortSignal,
  { complete = true }: { readonly complete?: boolean } = {},
): Promise<ServerVolume> {
  if (device.id === null) throw novaError('InvalidBDM');
  const { cinder } = flow.parts.services;
  const volume = await ensureVolume(flow, device, signal);
  if (volume.multiattach) refuseShared(volume.id);
  const attachmentId = await ensureAttachment(flow, volume.id, device.attachment_id, signal);
  const mountpoint = device.device_name ?? name;
  // known before there is more to it, so that a delete by the API finds it whatever becomes of us
  await saveBlockDevice(flow.conductor(signal), device.id, {
    volume_id: volume.id,
    volume_size: volume.sizeGib,
    attachment_id: attachmentId,
    destination_type: 'volume',
    device_name: mountpoint,
    ...(device.destination_type === 'volume' ? {} : { delete_on_termination: true }),
  });
  const { connectionInfo } = await cinder.updateAttachment(
    attachmentId,
    { ...flow.settings.connector, mountpoint },
    making(flow),
  );
  if (connectionInfo === null)
    throw new DpuError('unavailable', 'Cinder does not say how the volume is reached', {
      details: { volume: volume.id },
    });
  const connection = asInitiator(connectionInfo, flow.settings.connector);
  await saveBlockDevice(flow.conductor(signal), device.id, { connection_info: JSON.stringify(connection) });
  if (complete) await cinder.completeAttachment(attachmentId, making(flow));
  return {
    attachment: attachmentId,
    volume: volume.id,
    boot: device.boot_index === 0,
    device: mountpoint,
    connection,
  };
}

/** The stage `volumes`: every disk of the server attached to this host in Cinder. Its undo gives back what was attached and made. Answers ServerVolumes. */
export function volumesStage(flow: Flow): Stage {
  return {
    name: 'volumes',
    async run({ signal }) {
      const devices = inBootOrder(await listBlockDevices(flow.conductor(signal), flow.instance));
      const names = deviceNames(devices);
      const volumes: ServerVolume[] = [];
      for (const [index, device] of devices.entries())
        volumes.push(await ensureAttached(flow, device, names[index] ?? '', signal));
      return volumes as unknown as Json;
    },
    undo: ({ signal }) => giveBackVolumes(flow, signal),
    leaves: true,
  };
}

/** What the stage `volumes` answered. */
export function volumesOf(output: (stage: string) => Json): readonly ServerVolume[] {
  return (output('volumes') ?? []) as unknown as readonly ServerVolume[];
}

/**
 * As if nothing had been attached: attachments end, volumes that were made for the server are deleted, and its mappings are what they were, so
 * that another host can begin anew.
 */
async function giveBackVolumes(flow: Flow, signal: AbortSignal): Promise<void> {
  const { cinder } = flow.parts.services;
  const conductor = flow.conductor(signal);
  const devices = await listBlockDevices(conductor, flow.instance);
  const metadata = { [madeFor.instance]: flow.instance };
  const found = await cinder.listVolumes({ metadata, allProjects: true }, options(flow, signal));
  const made = found.filter((each) => isOfRequest(flow, each));
  const given = new Map(sentDevices(flow).map((device) => [device.id, device]));
  const mapped = new Set<string>();
  await forEach(devices, async ({ id, volume_id: volume, attachment_id: attachment }) => {
    if (volume === null || id === null) return;
    mapped.add(volume);
    const before = given.get(id);
    const ours = made.some((each) => each.id === volume) || before?.volume_id === null;
    if (attachment !== null) await cinder.deleteAttachment(attachment, options(flow, signal));
    if (ours) await mustDelete(flow, volume, signal);
    const changes = ours
      ? {
          volume_id: null,
          attachment_id: null,
          connection_info: null,
          destination_type: before?.destination_type ?? 'volume',
          volume_size: before?.volume_size ?? null,
        }
      : { connection_info: null };
    // last of all: what is left is known by its mapping
    await ifThere(saveBlockDevice(conductor, id, changes));
  });
  await forEach(
    made.filter(({ id }) => !mapped.has(id)),
    ({ id }) => mustDelete(flow, id, signal),
  );
}

/** @throws `bad_state` where Cinder says that it can't be deleted. */
async function mustDelete(flow: Flow, volume: string, signal: AbortSignal): Promise<void> {
  if (await deleteVolume(flow, volume, signal)) return;
  throw new DpuError('bad_state', 'a volume that was made for the server cannot be deleted', { details: { volume } });
}

/** Volumes that were made for the server, whether or not its mappings know of them. */
export async function madeVolumes(flow: Flow, signal: AbortSignal): Promise<readonly VolumeToRelease[]> {
  const { cinder } = flow.parts.services;
  const metadata = { [madeFor.instance]: flow.instance };
  const found = await cinder.listVolumes({ metadata, allProjects: true }, options(flow, signal));
  const made = found.filter((each) => isOfRequest(flow, each));
  return await Promise.all(
    made.map(async ({ id: volume }) => {
      const there = await cinder.listAttachments({ volumeId: volume, allProjects: true }, options(flow, signal));
      const own = there.find(({ instance }) => instance === flow.instance);
      return { volume, attachment: own?.id ?? null, goesToo: true };
    }),
  );
}

/** The mappings as they came with the request. */
function sentDevices(flow: Flow): readonly NovaBlockDevice[] {
  return (flow.request.devices ?? []) as unknown as readonly NovaBlockDevice[];
}

/**
 * Ends a server's attachments, and deletes the volumes that go with it. What Cinder refuses for good keeps no server from being deleted: as with
 * nova, it stays for an operator.
 */
export async function releaseVolumes(
  flow: Flow,
  volumes: readonly VolumeToRelease[],
  signal: AbortSignal,
): Promise<void> {
  const { services, log } = flow.parts;
  for (const { volume, attachment, goesToo } of volumes) {
    try {
      if (attachment !== null) await services.cinder.deleteAttachment(attachment, options(flow, signal));
      if (goesToo) await deleteVolume(flow, volume, signal);
    } catch (error) {
      if (signal.aborted || toDpuError(error, 'a volume could not be given back').retry === 'backoff') throw error;
      const facts = { flow: flow.id, volume, attachment, error };
      log.error('Cinder does not take a volume back from a server that is deleted', facts);
    }
  }
}

/**
 * Deletes a volume. One that can't be deleted (it has snapshots) stays: as with nova, its server goes all the same.
 * Answers whether it is gone.
 */
export async function deleteVolume(flow: Flow, volume: string, signal: AbortSignal): Promise<boolean> {
  const { services, log } = flow.parts;
  try {
    await services.cinder.waitForVolume(volume, ['available', 'error'], { signal, timeoutMs: 30_000 });
  } catch (error) {
    if (hasCode(error, 'not_found')) return true;
    if (!hasCode(error, 'bad_state') && !hasCode(error, 'timeout')) throw error; // the delete itself says more
  }
  try {
    await services.cinder.deleteVolume(volume, options(flow, signal));
    return true;
  } catch (error) {
    if (!hasCode(error, 'bad_state') && !hasCode(error, 'invalid')) throw error;
    log.warn('a volume that goes with its server cannot be deleted', { flow: flow.id, volume, error });
    return false;
  }
}
