/** The volume that a server is rescued from: made of an image, in the user's project, and known by its metadata. */

import { DpuError, hasCode } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import { asInitiator } from '../connector.ts';
import type { GlanceImage } from '../rest/glance.ts';
import { type Flow, making, sentInstance } from './flow.ts';
import { deleteVolume, isOfRequest } from './volumes.ts';

/** What a rescue starts from; `connection` may hold secrets. */
export interface RescueVolume {
  readonly volume: string;
  readonly connection: JsonObject;
}

/** Cinder's metadata of the volume: a second try, and an unrescue, find it by that. */
const madeFor = 'dpu_compute_rescue';

/** How long one look for a volume that is being made lasts; then the stage looks again. */
const makeMs = 600_000;

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

const known = async (flow: Flow, signal: AbortSignal) =>
  await flow.parts.services.cinder.listVolumes(
    { metadata: { [madeFor]: flow.instance }, allProjects: true },
    options(flow, signal),
  );

/** GiB that the image needs. One that is packed and does not say how large it is gets what a server of the flavor would. */
function sizeOf(flow: Flow, { minDiskGib, sizeBytes, virtualSizeBytes, diskFormat }: GlanceImage): number {
  const { flavor, root_gb } = sentInstance(flow);
  const unknown = virtualSizeBytes === null && diskFormat !== 'raw';
  const ofImage = Math.ceil((virtualSizeBytes ?? sizeBytes ?? 0) / 2 ** 30);
  return Math.max(minDiskGib, ofImage, unknown ? (flavor?.root_gb ?? root_gb ?? 0) : 0, 1);
}

/** The volume, made and attached to this host in Cinder. Only the user can make it in its project. @throws `denied` without the user's token, and Cinder's. */
export async function makeRescueVolume(flow: Flow, imageId: string, signal: AbortSignal): Promise<RescueVolume> {
  const { cinder } = flow.parts.services;
  let made = (await known(flow, signal)).find((each) => isOfRequest(flow, each));
  if (made === undefined) {
    if (!flow.hasUser())
      throw new DpuError('denied', "the node was restarted, and the user's token with which a volume is made is gone");
    const user = flow.services();
    const image = await user.glance.showImage(imageId, options(flow, signal));
    const { volumeType: type, availabilityZone: zone } = flow.settings;
    made = await user.cinder.createVolume(
      {
        imageId,
        sizeGib: sizeOf(flow, image),
        name: `${flow.instance}-rescue`,
        metadata: { [madeFor]: flow.instance },
        ...(type === null ? {} : { volumeType: type }),
        ...(zone === null ? {} : { availabilityZone: zone }),
      },
      making(flow),
    );
  }
  const { id } = made;
  await cinder.waitForVolume(id, ['available', 'reserved', 'in-use', 'attaching'], { signal, timeoutMs: makeMs });
  const there = await cinder.listAttachments({ volumeId: id, allProjects: true }, options(flow, signal));
  const attachment =
    there.find(({ instance }) => instance === flow.instance) ??
    (await flow.services().cinder.createAttachment({ volumeId: id, instance: flow.instance }, making(flow)));
  const { connector } = flow.settings;
  const { connectionInfo } = await cinder.updateAttachment(attachment.id, connector, making(flow));
  if (connectionInfo === null) throw new DpuError('unavailable', 'Cinder does not say how the volume is reached');
  await cinder.completeAttachment(attachment.id, making(flow));
  return { volume: id, connection: asInitiator(connectionInfo, connector) };
}

/** Ends the volume's attachments and deletes it; none is fine. */
export async function giveBackRescueVolume(flow: Flow, signal: AbortSignal): Promise<void> {
  const { cinder } = flow.parts.services;
  for (const { id } of await known(flow, signal)) {
    const there = await cinder.listAttachments({ volumeId: id, allProjects: true }, options(flow, signal));
    for (const attachment of there) {
      await cinder.deleteAttachment(attachment.id, options(flow, signal)).catch((error: unknown) => {
        if (!hasCode(error, 'not_found')) throw error; // it was given back before
      });
    }
    await deleteVolume(flow, id, signal);
  }
}
