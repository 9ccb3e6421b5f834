import { DpuError, hasCode } from '../../core/errors.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import { asInitiator } from './connector.ts';
import type { Cinder, Connector } from './rest/cinder.ts';

const gib = 1024 ** 3;

/** How long Cinder has to grow a volume, where the caller's own deadline is not shorter; milliseconds. */
const growMs = 600_000;

/** What volumes of a node of OpenStack need of Cinder, as the service user: it sees all projects' volumes. */
type CinderPart = Pick<
  Cinder,
  'showVolume' | 'extendVolume' | 'waitForVolume' | 'listAttachments' | 'showAttachment' | 'updateAttachment'
>;

/**
 * Volumes of a node whose platform is OpenStack: those that lie on the node (an instance's drives) are the local service's, and what that one does not know is
 * Cinder's. Nova's requests (flows) make Cinder's volumes, attach them and give them back, and bring their connections; so here they are only looked
 * at, connected again after the node lost what it knew (the attachment is Cinder's, and stays), and grown. No snapshot is taken and nothing is deleted
 * in Cinder for an instance's sake: nova's API does that itself.
 */
export function createCinderVolumes(local: VolumeService, cinder: CinderPart, connector: Connector): VolumeService {
  return {
    ...local,
    getVolume: (id, signal) =>
      orElse(local.getVolume(id, signal), async () => {
        const { sizeGib, bootable } = await known(cinder.showVolume(id, { signal }), id);
        return { id, sizeBytes: sizeGib * gib, bootable, madeFor: null };
      }),
    connect: (spec, signal) =>
      orElse(local.connect(spec, signal), async () => {
        const { volumeId, instance } = spec;
        const filter = { volumeId, instance, allProjects: true };
        const there = await known(cinder.listAttachments(filter, { signal }), volumeId);
        const own = there.find((each) => each.volumeId === volumeId && each.instance === instance);
        if (!own)
          throw new DpuError('not_found', 'Cinder has no attachment of the volume to the instance', {
            field: 'volume_id',
          });
        const attachment = await known(cinder.showAttachment(own.id, { signal }), volumeId);
        const connection =
          attachment.connectionInfo ??
          (await known(cinder.updateAttachment(own.id, connector, { signal }), volumeId)).connectionInfo;
        if (connection === null) throw new DpuError('unavailable', 'Cinder does not say how the volume is reached');
        const { driver_volume_type: protocol, data } = asInitiator(connection, connector);
        return { protocol, data };
      }),
    resizeVolume: (id, sizeBytes, signal) =>
      orElse(local.resizeVolume(id, sizeBytes, signal), async () => {
        const wanted = Math.ceil(sizeBytes / gib);
        const before = await known(cinder.showVolume(id, { signal }), id);
        if (wanted < before.sizeGib) throw new DpuError('invalid', 'a volume does not shrink', { field: 'size_bytes' });
        if (wanted > before.sizeGib) {
          await cinder.extendVolume(id, wanted, { signal });
          await cinder.waitForVolume(id, [before.status], { signal, timeoutMs: growMs });
        }
        return { id, sizeBytes: wanted * gib, bootable: before.bootable, madeFor: null };
      }),
  };
}

/** What the local service answers, and Cinder where that one has no such volume. */
async function orElse<Result>(local: Promise<Result>, ask: () => Promise<Result>): Promise<Result> {
  try {
    return await local;
  } catch (error) {
    if (!hasCode(error, 'not_found')) throw error;
  }
  return await ask();
}

async function known<Result>(asked: Promise<Result>, volume: string): Promise<Result> {
  return await asked.catch((cause: unknown) => {
    if (!hasCode(cause, 'not_found')) throw cause;
    throw new DpuError('not_found', `there is no volume ${volume}`, { field: 'volume_id', cause });
  });
}
