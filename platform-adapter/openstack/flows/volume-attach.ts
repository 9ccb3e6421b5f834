import { DpuError, hasCode } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import {
  createBlockDevice,
  destroyBlockDevice,
  getBlockDevice,
  getBlockDevicePrimitive,
  listBlockDevices,
  type NovaBlockDevice,
  readBlockDevice,
  saveBlockDevice,
} from '../wire/block-devices.ts';
import { isNova, novaError } from '../wire/nova-errors.ts';
import { type Arguments, checkUuid, flagArgument, readServer, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import { compute, stateHere } from './compute.ts';
import { type Flow, type FlowDefinition, making, type Stage } from './flow.ts';
import { faultOnly } from './interfaces.ts';
import { deviceName, ensureAttached, refuseShared, type ServerVolume } from './volumes.ts';

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/** Names of disks that a server can have; far more than a card has functions. */
const mostDevices = 256;

/** The first name that no disk has. */
function freeName(devices: readonly NovaBlockDevice[]): string {
  const taken = new Set(devices.map(({ device_name }) => device_name));
  for (let index = 0; index < mostDevices; index += 1) {
    const name = deviceName(index);
    if (!taken.has(name)) return name;
  }
  throw novaError('TooManyDiskDevices', { maximum: mostDevices });
}

/** A mapping's object as its caller is to get it. */
function mappingStage(flow: Flow): Stage {
  return {
    name: 'mapping',
    async run({ signal }) {
      const conductor = flow.conductor(signal);
      const { volume, device, disk_bus, device_type, tag } = flow.request as Record<
        'volume' | 'device' | 'disk_bus' | 'device_type' | 'tag',
        string | null
      >;
      if (typeof tag === 'string') throw novaError('VolumeTaggedAttachNotSupported');
      if (flow.request.multiattach === true) refuseShared(String(volume));
      const devices = await listBlockDevices(conductor, flow.instance);
      const again = devices.find(({ volume_id }) => volume_id === volume);
      if (again !== undefined && again.uuid !== flow.id)
        throw novaError('InvalidVolume', { reason: `volume ${volume} already attached` });
      if (again !== undefined)
        return (await getBlockDevicePrimitive(conductor, String(volume), flow.instance)) as unknown as Json;
      if (device !== null && devices.some(({ device_name }) => device_name === device))
        throw novaError('DevicePathInUse', { path: device });
      const { answer } = await createBlockDevice(conductor, {
        uuid: flow.id, // how a second try knows its own from another request's, whose attachment it is
        source_type: 'volume',
        destination_type: 'volume',
        instance_uuid: flow.instance,
        volume_id: volume,
        device_name: device ?? freeName(devices),
        boot_index: null,
        guest_format: null,
        disk_bus,
        device_type,
        tag,
      });
      return answer as unknown as Json;
    },
    async undo({ signal }) {
      const conductor = flow.conductor(signal);
      const devices = await listBlockDevices(conductor, flow.instance);
      const made = devices.find(({ uuid, attachment_id }) => uuid === flow.id && attachment_id === null);
      if (made?.id != null) await destroyBlockDevice(conductor, made.id);
    },
  };
}

/** reserve_block_device_name: a call; makes the mapping of a volume that is about to be attached, and answers it. */
const reserve: FlowDefinition = {
  planVersion: 1,
  event: null,
  read(args) {
    const volume = checkUuid(textArgument(args, 'volume_id') ?? '', 'volume_id');
    return readServer(args, {
      volume,
      device: textArgument(args, 'device', 255),
      disk_bus: textArgument(args, 'disk_bus', 255),
      device_type: textArgument(args, 'device_type', 255),
      tag: textArgument(args, 'tag', 255),
      multiattach: flagArgument(args, 'multiattach', false),
      key: volume,
    });
  },
  plan: (flow) => bracketed(flow, [mappingStage(flow)], { failure: faultOnly, result: (output) => output('mapping') }),
};

/** Whether the instance here has the volume. */
function isHere(flow: Flow, volume: string): boolean {
  return flow.parts.compute
    .listBindings()
    .some(({ instance, volume_id }) => instance === flow.instance && volume_id === volume);
}

async function detachHere(flow: Flow, volume: string, signal: AbortSignal): Promise<void> {
  if (!isHere(flow, volume)) return;
  await compute(flow, 'detach', 'detach_volume', { uuid: flow.instance, volume_id: volume }, signal);
}

/** What a volume's entry of a use case is made of. */
export function volumeEntry({ volume, connection }: Pick<ServerVolume, 'volume' | 'connection'>): {
  readonly volume_id: string;
  readonly read_only: boolean;
  readonly connection_info: Record<string, unknown>;
} {
  const { access_mode: mode } = (connection.data ?? {}) as JsonObject;
  return { volume_id: volume, read_only: mode === 'ro', connection_info: connection as Record<string, unknown> };
}

/** attach_volume: attached in Cinder, shown to the instance, and complete then. Its undo leaves no attachment and no mapping. */
const attach: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const bdm = readBlockDevice(args.bdm, 'bdm');
    if (bdm.id === null || bdm.volume_id === null)
      throw new DpuError('invalid', 'the mapping has no volume', { field: 'bdm' });
    return readServer(args, { bdm: bdm as unknown as Json, key: bdm.volume_id });
  },
  plan(flow) {
    const bdm = flow.request.bdm as unknown as NovaBlockDevice & { readonly id: number; readonly volume_id: string };
    const volumeOf = (output: (stage: string) => Json): ServerVolume => output('volume') as unknown as ServerVolume;
    const stages: readonly Stage[] = [
      {
        name: 'volume',
        async run({ signal }) {
          const name = bdm.device_name ?? '';
          return (await ensureAttached(flow, bdm, name, signal, { complete: false })) as unknown as Json;
        },
        async undo({ signal }) {
          const conductor = flow.conductor(signal);
          const now = await ifMapped(getBlockDevice(conductor, bdm.volume_id, flow.instance));
          const attachment = now?.attachment_id ?? bdm.attachment_id;
          if (attachment !== null) await flow.parts.services.cinder.deleteAttachment(attachment, options(flow, signal));
          await destroyBlockDevice(conductor, bdm.id);
        },
        leaves: true,
      },
      {
        name: 'attach',
        async run({ signal, output }) {
          const volume = volumeEntry(volumeOf(output));
          await compute(flow, 'attach', 'attach_volume', { uuid: flow.instance, volume }, signal);
          return undefined;
        },
        undo: ({ signal }) => detachHere(flow, bdm.volume_id, signal),
      },
      {
        name: 'complete',
        async run({ output }) {
          await flow.parts.services.cinder.completeAttachment(volumeOf(output).attachment, making(flow));
          return undefined;
        },
      },
    ];
    return bracketed(flow, stages, { failure: faultOnly, ours: true });
  },
};

/** A mapping that may be gone. */
async function ifMapped(found: Promise<NovaBlockDevice>): Promise<NovaBlockDevice | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isNova(error, 'VolumeBDMNotFound')) return undefined;
    throw error;
  }
}

/**
 * detach_volume: taken from the instance with the host's acknowledgement; Cinder and nova forget it behind that. A host that does not let go keeps
 * it, and the volume is no more `detaching`.
 */
const detach: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const volume = checkUuid(textArgument(args, 'volume_id') ?? '', 'volume_id');
    return readServer(args, { volume, attachment: textArgument(args, 'attachment_id'), key: volume });
  },
  plan(flow) {
    const volume = String(flow.request.volume);
    const { cinder } = flow.parts.services;
    const stages: readonly Stage[] = [
      {
        name: 'mapping',
        async run({ signal }) {
          const { id, attachment_id } = await getBlockDevice(flow.conductor(signal), volume, flow.instance);
          return { id, attachment: attachment_id };
        },
        async undo({ signal }) {
          await cinder.rollDetaching(volume, options(flow, signal));
        },
        leaves: true,
      },
      {
        name: 'detach',
        async run({ signal }) {
          await detachHere(flow, volume, signal);
          return undefined;
        },
      },
      {
        name: 'release',
        async run({ signal, output }) {
          const { id, attachment } = output('mapping') as JsonObject;
          const known = flow.request.attachment ?? attachment;
          if (typeof known === 'string') await cinder.deleteAttachment(known, options(flow, signal));
          if (typeof id === 'number') await destroyBlockDevice(flow.conductor(signal), id);
          return undefined;
        },
      },
    ];
    return bracketed(flow, stages, { failure: faultOnly, pivot: 'release', ours: true });
  },
};

/**
 * swap_volume (the API's update of an attachment, Cinder's migration of a volume in use): not done, since no storage target of ours copies a disk in use.
 * The old volume stays, and the new one is given back.
 */
const swap: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const old = checkUuid(textArgument(args, 'old_volume_id') ?? '', 'old_volume_id');
    return readServer(args, { old, attachment: textArgument(args, 'new_attachment_id'), key: old });
  },
  plan(flow) {
    const stage: Stage = {
      name: 'refuse',
      run: () => Promise.reject(novaError('NotSupported')),
      async undo({ signal }) {
        const { cinder } = flow.parts.services;
        const { old, attachment } = flow.request;
        if (typeof attachment === 'string') await cinder.deleteAttachment(attachment, options(flow, signal));
        await cinder.rollDetaching(String(old), options(flow, signal));
      },
      leaves: true,
    };
    return bracketed(flow, [stage], { failure: faultOnly });
  },
};

/**
 * Cinder's `volume-extended`: nova's mapping has the new size, and the instance sees it. The user's action says whether it does, and a failure is a fault,
 * as with nova; the volume is larger all the same.
 */
const extended: FlowDefinition = {
  planVersion: 1,
  event: 'compute_extend_volume',
  read(args: Arguments) {
    const instance = checkUuid(textArgument(args, 'instance') ?? '', 'instance');
    const volume = checkUuid(textArgument(args, 'key') ?? '', 'tag');
    return { instance, request: { volume, key: volume } };
  },
  plan(flow) {
    const volume = String(flow.request.volume);
    const stage: Stage = {
      name: 'extend',
      async run({ signal }) {
        const conductor = flow.adminConductor(signal);
        const mapping = await ifMapped(getBlockDevice(conductor, volume, flow.instance));
        if (mapping?.id == null) return undefined; // it was detached meanwhile
        const { sizeGib } = await flow.parts.services.cinder.showVolume(volume, options(flow, signal));
        await saveBlockDevice(conductor, mapping.id, { volume_size: sizeGib });
        if (isHere(flow, volume)) {
          const size = sizeGib * 2 ** 30;
          const args = { uuid: flow.instance, volume_id: volume, size_bytes: size };
          await compute(flow, `extend-${sizeGib}`, 'resize_volume', args, signal);
        }
        return undefined;
      },
    };
    return bracketed(flow, [stage], { failure: faultOnly });
  },
};

/**
 * remove_volume_connection: a call; the volume is no more served here. Its attachment is the caller's to end, unless it says otherwise (compute RPC 6.3):
 * `nova-manage volume_attachment refresh` makes another.
 */
const removeConnection: FlowDefinition = {
  planVersion: 1,
  event: null,
  read(args) {
    const volume = checkUuid(textArgument(args, 'volume_id') ?? '', 'volume_id');
    return readServer(args, { volume, key: volume, endsToo: flagArgument(args, 'delete_attachment', false) });
  },
  plan(flow) {
    const volume = String(flow.request.volume);
    const stage: Stage = {
      name: 'remove',
      async run({ signal }) {
        await detachHere(flow, volume, signal);
        if (flow.request.endsToo !== true) return undefined;
        const mapping = await ifMapped(getBlockDevice(flow.conductor(signal), volume, flow.instance));
        if (mapping?.attachment_id != null) {
          try {
            await flow.parts.services.cinder.deleteAttachment(mapping.attachment_id, options(flow, signal));
          } catch (error) {
            if (!hasCode(error, 'not_found')) throw error; // it was given back before
          }
        }
        return undefined;
      },
    };
    return bracketed(flow, [stage], { failure: faultOnly });
  },
};

/** Volumes of the server that the instance has not, since they were taken from it to be attached anew: it starts with all. */
export function missingVolumesStage(flow: Flow): Stage {
  return {
    name: 'volumes',
    async run({ signal }) {
      if (stateHere(flow) === undefined) return undefined; // it is made with all of them
      for (const device of await listBlockDevices(flow.conductor(signal), flow.instance)) {
        const { id, volume_id: volume } = device;
        if (id === null || volume === null || isHere(flow, volume)) continue;
        const attached = await ensureAttached(
          flow,
          { ...device, id, volume_id: volume },
          device.device_name ?? '',
          signal,
        );
        const entry = volumeEntry(attached);
        await compute(flow, `attach:${volume}`, 'attach_volume', { uuid: flow.instance, volume: entry }, signal);
      }
      return undefined;
    },
  };
}

/** Methods of a server's volumes after its build. */
export const volumeFlows: Readonly<Record<string, FlowDefinition>> = {
  reserve_block_device_name: reserve,
  attach_volume: attach,
  detach_volume: detach,
  swap_volume: swap,
  remove_volume_connection: removeConnection,
  volume_extended: extended,
};
