/** Stages of a server that keeps its ports and volumes while it comes to this host, goes from it, or is made anew on it. */

import type { Json } from '../../../core/units.ts';
import type { Attachment } from '../rest/cinder.ts';
import { listBlockDevices, type NovaBlockDevice, saveBlockDevice } from '../wire/block-devices.ts';
import { getInfoCache } from '../wire/instances.ts';
import { forEach } from './each.ts';
import { type Flow, making, type Stage } from './flow.ts';
import { cachedPorts, ensurePorts, type ServerPort } from './ports.ts';
import { deviceNames, ensureAttached, inBootOrder, type ServerVolume } from './volumes.ts';

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/** The stage `ports`: those of the info cache, bound to this host; none is made. Answers ServerPorts. */
export function keptPortsStage(flow: Flow): Stage {
  return {
    name: 'ports',
    async run({ signal }) {
      const kept = cachedPorts(await getInfoCache(flow.conductor(signal), flow.instance));
      const wanted = kept.map(({ id }) => ({ port: id, network: null, address: null, tag: null }));
      const bound = await ensurePorts(flow, wanted, [], signal);
      const given = new Set(kept.filter(({ preserveOnDelete }) => preserveOnDelete).map(({ id }) => id));
      return bound.map((port): ServerPort => ({ ...port, made: !given.has(port.id) })) as unknown as Json;
    },
  };
}

/**
 * Keeps a volume for the server while no host has it: a new attachment without a connector, and those of hosts end behind it, so that the volume is
 * never anybody's. One that is kept already is fine.
 */
async function keepVolume(flow: Flow, device: NovaBlockDevice, volume: string, signal: AbortSignal): Promise<void> {
  if (device.id === null) return;
  const { cinder } = flow.parts.services;
  const all = await cinder.listAttachments({ volumeId: volume, allProjects: true }, options(flow, signal));
  const own = all.filter(({ instance }) => instance === flow.instance);
  const reserved = own.filter(({ status }) => status === 'reserved');
  const kept =
    reserved.find(({ id }) => id === device.attachment_id) ?? reserved[0] ?? (await reserve(flow, volume, own));
  if (device.attachment_id !== kept.id || device.connection_info !== null) {
    const changes = { attachment_id: kept.id, connection_info: null };
    await saveBlockDevice(flow.conductor(signal), device.id, changes);
  }
  for (const { id } of own) if (id !== kept.id) await cinder.deleteAttachment(id, options(flow, signal));
}

/**
 * One more attachment of the server's own volume, without a connector. Cinder refuses it while the volume is being attached: a host that died in the
 * middle of that never says that it is done, so we do.
 */
async function reserve(flow: Flow, volume: string, own: readonly Attachment[]): Promise<Attachment> {
  const { cinder } = flow.parts.services;
  for (const { id, status } of own) if (status === 'attaching') await cinder.completeAttachment(id, making(flow));
  return await flow.services().cinder.createAttachment({ volumeId: volume, instance: flow.instance }, making(flow));
}

/** Takes all volumes of the server from their host in Cinder; they stay the server's. */
export async function keepVolumes(flow: Flow, signal: AbortSignal): Promise<void> {
  await forEach(await listBlockDevices(flow.conductor(signal), flow.instance), async (device) => {
    if (device.volume_id !== null) await keepVolume(flow, device, device.volume_id, signal);
  });
}

/** `keepVolumes` as a stage. */
export function keepVolumesStage(flow: Flow): Stage {
  return {
    name: 'keep-volumes',
    async run({ signal }) {
      await keepVolumes(flow, signal);
      return undefined;
    },
  };
}

/**
 * The stage `volumes`: the server's volumes, attached to this host in Cinder. Its undo keeps them for the server, with no host. `image`: what a root disk
 * that is no volume yet is made of, instead of its mapping's. Answers ServerVolumes.
 */
export function keptVolumesStage(flow: Flow, image: string | null = null): Stage {
  return {
    name: 'volumes',
    async run({ signal }) {
      const devices = inBootOrder(await listBlockDevices(flow.conductor(signal), flow.instance));
      const names = deviceNames(devices);
      const volumes: ServerVolume[] = [];
      for (const [index, device] of devices.entries()) {
        const isRoot = device.boot_index === 0 && device.volume_id === null && image !== null;
        const disk = isRoot ? { ...device, source_type: 'image', image_id: image } : device;
        volumes.push(await ensureAttached(flow, disk, names[index] ?? '', signal));
      }
      return volumes as unknown as Json;
    },
    undo: ({ signal }) => keepVolumes(flow, signal),
    leaves: true,
  };
}
