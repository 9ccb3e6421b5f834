import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { diskFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type VolumeId } from '../../core/units.ts';
import { vhostFrontEnd } from '../../drivers/storage/front-vhost.ts';
import { createSpdkStorageTarget } from '../../drivers/storage/spdk-storage-target.ts';
import { driveFilesIn } from '../../drivers/storage/volumes/drive-files.ts';
import { fileBacking } from '../../drivers/storage/volumes/file-backing.ts';
import { openImages } from '../../drivers/storage/volumes/images.ts';
import { createLocalVolumes, type LocalVolumes } from '../../drivers/storage/volumes/local-volumes.ts';
import { lvolBacking, nbdExportWriter } from '../../drivers/storage/volumes/lvol-backing.ts';
import { lvolStoreKeeper } from '../../drivers/storage/volumes/lvol-store.ts';
import { openRecords } from '../../drivers/storage/volumes/records.ts';
import { systemClock } from '../../kit/clock.ts';
import { exec } from '../../kit/exec.ts';
import { lvol, type SpdkClient, vhost } from '../../packages/spdk-client/src/index.ts';
import { useDisk } from '../support/disk-user.ts';
import { havePrograms } from '../support/qemu-machine.ts';
import { facePrograms, startTestStorage, type TestStorage } from '../support/spdk-face.ts';
import { instance, markOf, node, otherInstance, rejection, volumeId } from './samples.ts';
import { volumeServiceContract } from './volume-service.suite.ts';

const mib = 1024 * 1024;
const foreignVolume = asId<VolumeId>('70000000-0000-4000-8000-00000000000f');

/** A directory with an image of 2 MiB that begins with a known text. */
async function makeImages(directory: string): Promise<string> {
  const images = join(directory, 'images');
  await mkdir(images, { recursive: true });
  const content = Buffer.alloc(2 * mib);
  content.write('the image');
  await writeFile(join(images, 'demo.img'), content);
  return images;
}

describe('local volumes in files', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'volumes-'));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const data = (): string => join(directory, 'volumes');
  const openVolumes = (): LocalVolumes =>
    createLocalVolumes({
      images: openImages(join(directory, 'images')),
      records: openRecords(data()),
      backing: fileBacking(data()),
      drives: driveFilesIn(data()),
    });
  const spec = (id = volumeId, sizeBytes = 4 * mib) => ({ id, image: 'demo', sizeBytes, node, instance });

  volumeServiceContract('local, files', async () => {
    const own = await mkdtemp(join(tmpdir(), 'volumes-'));
    const images = await makeImages(own);
    const openOwn = (): LocalVolumes =>
      createLocalVolumes({
        images: openImages(images),
        records: openRecords(join(own, 'volumes')),
        backing: fileBacking(join(own, 'volumes')),
        drives: driveFilesIn(join(own, 'volumes')),
      });
    const volumes = openOwn();
    await volumes.ensureVolume({ id: foreignVolume, sizeBytes: mib });
    return {
      volumes,
      image: 'demo',
      foreignVolume,
      reopen: async () => openOwn(),
      close: () => rm(own, { recursive: true }),
    };
  });

  it('makes sparse files with the content of the image, and leaves none behind', async () => {
    await makeImages(directory);
    const volumes = openVolumes();
    await volumes.ensureVolumeFromImage(spec(volumeId, 1024 * mib));
    const { data: connection } = await volumes.connect({ volumeId, node, instance, readOnly: false });
    const path = String(connection.path);
    const { size, blocks } = await stat(path);
    expect(size).toBe(1024 * mib);
    expect(blocks * 512).toBeLessThan(4 * mib);
    expect((await readFile(join(directory, 'images/demo.img'))).compare(await head(path, 2 * mib))).toBe(0);
    await volumes.disconnect(volumeId, instance);
    await volumes.deleteVolume(volumeId);
    expect(await readdir(data())).toEqual([]);
  });

  it('finishes what was cut short', async () => {
    await makeImages(directory);
    const record = {
      kind: 'volume',
      id: volumeId,
      sizeBytes: mib,
      bootable: false,
      madeFor: null,
      source: null,
    } as const;
    await openRecords(data()).put({ ...record, exports: [], ready: false });
    await writeFile(join(data(), `${volumeId}.raw.part`), 'half');
    const volumes = openVolumes();
    await rejection(volumes.getVolume(volumeId), 'not_found');
    expect(await volumes.listMadeFor(node)).toEqual([]);
    const made = await volumes.ensureVolumeFromImage(spec());
    expect(made.sizeBytes).toBe(4 * mib);
    expect((await readdir(data())).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('checks an image by its checksum before its first use, and after each change', async () => {
    const images = await makeImages(directory);
    const image = join(images, 'demo.img');
    const sum = createHash('sha256')
      .update(await readFile(image))
      .digest('hex');
    await writeFile(`${image}.sha256`, `${sum}  demo.img\n`);
    const volumes = openVolumes();
    await volumes.ensureVolumeFromImage(spec());
    await writeFile(image, Buffer.alloc(2 * mib, 'changed'));
    const id = asId<VolumeId>('70000000-0000-4000-8000-000000000002');
    await rejection(volumes.ensureVolumeFromImage(spec(id)), 'invalid');
    await rejection(volumes.getVolume(id), 'not_found');
    expect(existsSync(join(data(), `${id}.raw`))).toBe(false);
  });

  it.each([
    ['a qcow2 that lies on another file', 8, 8, 1n],
    ['a qcow2 with its data in another file', 72, 8, 4n],
    ['an encrypted qcow2', 32, 4, 1n],
  ])('refuses %s', async (_what, at, length, value) => {
    const header = Buffer.alloc(mib);
    header.writeUInt32BE(0x514649fb, 0);
    header.writeUInt32BE(3, 4);
    header.writeBigUInt64BE(BigInt(mib), 24);
    await mkdir(join(directory, 'images'));
    await writeFile(join(directory, 'images/demo.qcow2'), header);
    expect((await openVolumes().getImage('demo')).minSizeBytes).toBe(mib);
    if (length === 8) header.writeBigUInt64BE(value, at);
    else header.writeUInt32BE(Number(value), at);
    await writeFile(join(directory, 'images/demo.qcow2'), header);
    await rejection(openVolumes().getImage('demo'), 'invalid');
  });

  it('takes no id for a path', async () => {
    const volumes = openVolumes();
    for (const id of ['../x', 'a/b', '', '.hidden']) {
      await rejection(volumes.getVolume(asId<VolumeId>(id)), 'invalid');
      await rejection(volumes.deleteSnapshot(id), 'invalid');
    }
  });

  it.runIf(havePrograms('qcow2 images', { '/usr/bin/qemu-img': 'qemu-utils' }))('converts qcow2', async () => {
    const images = await makeImages(directory);
    const raw = join(images, 'demo.img');
    const qcow2 = join(images, 'packed.qcow2');
    const made = await exec('qemu-img', ['convert', '-O', 'qcow2', raw, qcow2], { timeoutMs: 30_000 });
    expect(made.code).toBe(0);
    const volumes = openVolumes();
    expect((await volumes.getImage('packed')).minSizeBytes).toBe(2 * mib);
    await volumes.ensureVolumeFromImage({ ...spec(), image: 'packed' });
    expect((await readFile(raw)).compare(await head(join(data(), `${volumeId}.raw`), 2 * mib))).toBe(0);
  });
});

describe.runIf(havePrograms('local volumes in an lvol store', facePrograms))('local volumes in an lvol store', () => {
  let face: TestStorage;
  let spdk: SpdkClient;
  let directory: string;
  let stores = 0;
  beforeAll(async () => {
    face = await startTestStorage();
    spdk = face.client();
    directory = await mkdtemp(join(tmpdir(), 'volumes-'));
    await makeImages(directory);
  });
  afterAll(async () => {
    await face.close();
    await rm(directory, { recursive: true });
  });
  const socket = (): string => (face.part.front.kind === 'nbd' ? face.part.front.socket : '');

  /** A store of its own, and volumes in it. */
  function makeVolumes(): { readonly open: () => LocalVolumes; readonly prepare: () => Promise<void> } {
    stores += 1;
    const store = `store${stores}`;
    const own = join(directory, store);
    const file = join(face.part.volumesDir, `${store}.img`);
    const prepare = lvolStoreKeeper({ spdk, store, file, sizeBytes: 256 * mib });
    return {
      prepare,
      open: () =>
        createLocalVolumes({
          images: openImages(join(directory, 'images')),
          records: openRecords(own),
          drives: driveFilesIn(face.part.volumesDir),
          backing: lvolBacking({ spdk, store, prepare, write: nbdExportWriter(spdk, systemClock, socket()) }),
        }),
    };
  }

  volumeServiceContract('local, lvols', async () => {
    const { open: openOwn } = makeVolumes();
    const volumes = openOwn();
    await volumes.ensureVolume({ id: foreignVolume, sizeBytes: mib });
    return { volumes, image: 'demo', foreignVolume, reopen: async () => openOwn(), close: async () => undefined };
  });

  it('writes an image once, and keeps no revision that no volume lies on', async () => {
    const { open: openOwn } = makeVolumes();
    const volumes = openOwn();
    const images = async (): Promise<number> =>
      (await spdk.call(lvol.list, { lvs_name: `store${stores}` })).filter(({ name }) => /^(img|draft)-/.test(name))
        .length;
    const id = (digit: number): VolumeId => asId<VolumeId>(`70000000-0000-4000-8000-00000000001${digit}`);
    const spec = { image: 'demo', sizeBytes: 4 * mib, node, instance };
    for (const digit of [1, 2]) await volumes.ensureVolumeFromImage({ ...spec, id: id(digit) });
    expect(await images()).toBe(1);
    await makeImages(directory);
    await volumes.ensureVolumeFromImage({ ...spec, id: id(3) });
    expect(await images()).toBe(2);
    for (const digit of [1, 2, 3]) await volumes.deleteVolume(id(digit));
    await makeImages(directory);
    await volumes.ensureVolumeFromImage({ ...spec, id: id(4) });
    expect(await images()).toBe(1);
  });

  it('has the content of the image, takes snapshots in use, and survives SPDK', async () => {
    const { open: openOwn, prepare } = makeVolumes();
    const volumes = openOwn();
    const storage = createSpdkStorageTarget({
      spdk,
      front: vhostFrontEnd(spdk, systemClock),
      connections: {
        localDirs: async () => [],
        cephSecret: async () => undefined,
        hostNqn: undefined,
        initiatorIqn: 'iqn.2026-01.test:soc',
      },
      log: silentLog,
      prepare,
    });
    const functionId = diskFunctionId(instance, volumeId);
    await volumes.ensureVolumeFromImage({ id: volumeId, image: 'demo', sizeBytes: 8 * mib, node, instance });
    const connection = await volumes.connect({ volumeId, node, instance, readOnly: false });
    const attach = { functionId, volumeId, connection, readOnly: false, mark: markOf('boot', volumeId) };
    expect((await storage.attach(attach)).sizeBytes).toBe(8 * mib);
    const user = await useDisk(socket(), functionId);
    expect(await user.run('read -v 0 16')).toContain('the.image');
    await user.run('write -P 0x61 1M 1M');
    await volumes.ensureSnapshot({ id: 'live', volumeId });
    await user.run('write -P 0x62 1M 1M');
    await face.restart();
    await user.run('read -P 0x62 1M 1M');
    await storage.settled();
    await user.close();

    const id = asId<VolumeId>('70000000-0000-4000-8000-000000000003');
    await volumes.ensureVolumeFromSnapshot({ id, snapshot: 'live', sizeBytes: 8 * mib, node, instance: otherInstance });
    const copy = await volumes.connect({ volumeId: id, node, instance: otherInstance, readOnly: false });
    const second = diskFunctionId(otherInstance, id);
    await storage.attach({
      functionId: second,
      volumeId: id,
      connection: copy,
      readOnly: false,
      mark: markOf('disk', id, otherInstance),
    });
    const reader = await useDisk(socket(), second);
    await reader.run('read -P 0x61 1M 1M');
    await reader.close();
    await storage.detach(second);
    await storage.detach(functionId);
    expect(await spdk.call(vhost.list, {})).toEqual([]);
    storage.close();
  });
});

async function head(path: string, bytes: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    return (await file.read(Buffer.alloc(bytes), 0, bytes, 0)).buffer;
  } finally {
    await file.close();
  }
}
