import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { diskFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type FunctionId, type VolumeId } from '../../core/units.ts';
import { vhostFrontEnd } from '../../drivers/storage/front-vhost.ts';
import { createSpdkStorageTarget, type SpdkStorageTarget } from '../../drivers/storage/spdk-storage-target.ts';
import { systemClock } from '../../kit/clock.ts';
import { bdev, malloc, type SpdkClient, vhost } from '../../packages/spdk-client/src/index.ts';
import { havePrograms } from '../support/qemu-machine.ts';
import { facePrograms, startTestStorage, type TestStorage } from '../support/spdk-face.ts';
import { instance, otherInstance } from './samples.ts';
import { type ReachableVolume, storageTargetContract } from './storage-target.suite.ts';

const volumeIds = ['70000000-0000-4000-8000-000000000001', '70000000-0000-4000-8000-000000000002'].map((id) =>
  asId<VolumeId>(id),
);
const sizeBytes = 8 * 1024 * 1024;

describe.runIf(havePrograms('the storage target on the SPDK face', facePrograms))('the SPDK face', () => {
  let face: TestStorage;
  beforeAll(async () => {
    face = await startTestStorage();
  });
  afterAll(() => face.close());

  storageTargetContract('SPDK with files', async () => {
    const spdk = face.client();
    const openTarget = (): SpdkStorageTarget =>
      createSpdkStorageTarget({
        spdk,
        front: vhostFrontEnd(spdk, systemClock),
        connections: {
          localDirs: async () => [face.part.volumesDir],
          cephSecret: async () => undefined,
          hostNqn: undefined,
          initiatorIqn: 'iqn.2026-01.test:soc',
        },
        log: silentLog,
      });
    let storage: SpdkStorageTarget = openTarget();
    const path = (id: VolumeId): string => join(face.part.volumesDir, `${id}.raw`);
    const reach = async (id: VolumeId): Promise<ReachableVolume> => {
      await setSize(path(id), sizeBytes, true);
      return {
        id,
        sizeBytes,
        connection: { protocol: 'local', data: { path: path(id), auth_password: 'never shown' } },
      };
    };
    const [first, second] = volumeIds;
    if (!first || !second) throw new Error('two volumes are needed');
    return {
      storage,
      functions: [diskFunctionId(instance, first), diskFunctionId(instance, second)],
      volumes: [await reach(first), await reach(second)],
      plantForeign: async () => {
        const functionId = diskFunctionId(otherInstance, first);
        await spdk.call(malloc.create, { name: 'theirs', num_blocks: 2048, block_size: 512 });
        await spdk.call(vhost.createBlk, { ctrlr: functionId, dev_name: 'theirs' });
        return functionId;
      },
      grow: (id, bytes) => setSize(path(id), bytes, false),
      reopen: async () => {
        storage.close();
        storage = openTarget();
        return storage;
      },
      close: async () => {
        storage.close();
        await removeAll(spdk);
        spdk.close();
      },
    };
  });
});

/** Gives a file a size, empty or with what it holds. */
async function setSize(path: string, bytes: number, empty: boolean): Promise<void> {
  const file = await open(path, empty ? 'w' : 'r+');
  await file.truncate(bytes);
  await file.close();
}

/** Leaves the face as a new one. */
async function removeAll(spdk: SpdkClient): Promise<void> {
  for (const { ctrlr } of await spdk.call(vhost.list, {}))
    await spdk.call(vhost.remove, { ctrlr: ctrlr as FunctionId });
  for (const { name, product_name } of await spdk.call(bdev.list, {})) {
    await spdk.request(product_name.startsWith('Malloc') ? 'bdev_malloc_delete' : 'bdev_aio_delete', { name });
  }
}
