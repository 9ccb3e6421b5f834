import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { createSpdkClient } from 'spdk-client';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import type { StorageTarget } from '../../core/ports/storage-target.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import type { LoadedConfig } from '../../kit/config.ts';
import { readSecretFile } from '../../kit/credentials.ts';
import { snapFrontEnd } from './front-snap.ts';
import { vhostFrontEnd } from './front-vhost.ts';
import { createSpdkStorageTarget } from './spdk-storage-target.ts';
import { driveFilesIn } from './volumes/drive-files.ts';
import { fileBacking } from './volumes/file-backing.ts';
import { openImages } from './volumes/images.ts';
import { createLocalVolumes } from './volumes/local-volumes.ts';
import { kernelNbdWriter, lvolBacking, nbdExportWriter } from './volumes/lvol-backing.ts';
import { lvolStoreKeeper } from './volumes/lvol-store.ts';
import { openRecords } from './volumes/records.ts';

/** What `storage.kind: spdk` is made of. */
export interface SpdkStorage {
  readonly storage: StorageTarget;
  readonly volumes: VolumeService;
  close(): void;
}

/** Name of the store that local volumes lie in. */
const store = 'dpu-compute';

/** The longest wait between two attempts to reach SPDK: what is under a guest when SPDK comes back is served again soon. */
const maxBackoffMs = 1000;

/** The storage target and the local volume service as the configuration describes them; nothing is asked of SPDK yet. */
export function openSpdkStorage(parts: {
  readonly storage: LoadedConfig['storage'];
  /** Where the functions come from: SNAP's emulated functions are known by what it says of them. */
  readonly snic: Pick<SnicController, 'listFunctions'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly restarted: () => void;
}): SpdkStorage {
  const { storage: settings, snic, clock, log, restarted } = parts;
  const {
    socket,
    volumes_dir: volumesDir,
    local_dirs: localDirs,
    nbd_socket: nbdSocket,
    ceph_keys: cephKeys,
  } = settings;
  const callMs = settings.call_timeout_s * 1000;
  const spdk = createSpdkClient({ address: { path: socket }, timeoutMs: callMs, backoff: { maxMs: maxBackoffMs } });
  const file = join(volumesDir, `${store}.lvols`);
  const prepare = lvolStoreKeeper({ spdk, store, file, sizeBytes: settings.store_bytes });
  const write = nbdSocket === undefined ? kernelNbdWriter(spdk) : nbdExportWriter(spdk, clock, nbdSocket);
  const volumes = createLocalVolumes({
    images: openImages(settings.images_dir),
    records: openRecords(volumesDir),
    backing: settings.backing === 'lvols' ? lvolBacking({ spdk, store, prepare, write }) : fileBacking(volumesDir),
    drives: driveFilesIn(volumesDir),
    wipe: settings.wipe,
    declared: new Map(Object.entries(settings.volumes).map(([id, { size_bytes }]) => [id, size_bytes])),
  });
  const storage = createSpdkStorageTarget({
    spdk,
    front: settings.front === 'snap' ? snapFrontEnd(spdk, snic) : vhostFrontEnd(spdk, clock),
    connections: {
      localDirs: () => realPaths([volumesDir, ...localDirs]),
      cephSecret: async (uuid) => (Object.hasOwn(cephKeys, uuid) ? readSecretFile(cephKeys[uuid] ?? '') : undefined),
      hostNqn: settings.host_nqn,
      initiatorIqn: settings.initiator_iqn,
    },
    log,
    callMs,
    restarted,
    ...(settings.backing === 'lvols' ? { prepare } : {}),
  });
  return {
    storage,
    volumes,
    close() {
      storage.close();
      spdk.close();
    },
  };
}

/** Real paths of the directories that are there. */
async function realPaths(directories: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(directories.map((each) => realpath(each).catch(() => undefined))); // absent: nothing is in it
  return found.filter((each) => each !== undefined);
}
