/** Drives and the wiping of local volumes, looked at where the data lies. */
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DriveSpec } from '../../core/ports/volume-service.ts';
import { driveFilesIn } from '../../drivers/storage/volumes/drive-files.ts';
import { fileBacking } from '../../drivers/storage/volumes/file-backing.ts';
import { openImages } from '../../drivers/storage/volumes/images.ts';
import { createLocalVolumes, type LocalVolumes } from '../../drivers/storage/volumes/local-volumes.ts';
import { openRecords } from '../../drivers/storage/volumes/records.ts';
import { exec } from '../../kit/exec.ts';
import { havePrograms } from '../support/qemu-machine.ts';
import { instance, node, rejection, volumeId } from './samples.ts';

const mib = 1024 * 1024;
const tools = havePrograms('drives', { '/usr/bin/xorriso': 'xorriso', '/usr/bin/fallocate': 'util-linux' });

describe.runIf(tools)('drives and wiping', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'drives-'));
    await mkdir(join(directory, 'images'));
    await writeFile(join(directory, 'images/demo.img'), Buffer.alloc(2 * mib, 'secret '));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const data = (): string => join(directory, 'volumes');
  const open = (): LocalVolumes =>
    createLocalVolumes({
      images: openImages(join(directory, 'images')),
      records: openRecords(data()),
      backing: fileBacking(data()),
      drives: driveFilesIn(data()),
    });
  const drive = (files: Readonly<Record<string, string>>): DriveSpec => ({
    id: volumeId,
    label: 'config-2',
    files,
    node,
    instance,
  });
  const path = (): string => join(data(), `${volumeId}.drive`);
  const isZero = async (file: string): Promise<boolean> => (await readFile(file)).every((byte) => byte === 0);

  /** What an iso9660 reader finds. */
  async function listed(): Promise<string> {
    const { stdout, stderr } = await exec('xorriso', ['-indev', path(), '-find', '/', '-exec', 'lsdl', '--'], {
      timeoutMs: 20_000,
    });
    return `${stdout}${stderr}`;
  }

  it('is a file system with a label, for nobody else to read', async () => {
    const volumes = open();
    const made = await volumes.ensureDrive(drive({ 'openstack/latest/user_data': 'hello', 'meta-data': '' }));
    expect(made).toMatchObject({ id: volumeId, sizeBytes: 8 * mib, madeFor: { node, instance } });
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    const seen = await listed();
    expect(seen).toMatch(/Volume id {4}: 'config-2'/);
    expect(seen).toContain("'/openstack/latest/user_data'");
    expect(await volumes.listMadeFor(node)).toEqual([made]);
    const spec = { volumeId, node, instance, readOnly: true };
    expect(await volumes.connect(spec)).toEqual({ protocol: 'local', data: { path: path(), size_bytes: 8 * mib } });
  });

  it('is given other files in place, also by the next process and while it is exported', async () => {
    await open().ensureDrive(drive({ one: 'first-text' }));
    await open().connect({ volumeId, node, instance, readOnly: true });
    const { ino } = await stat(path());
    const volumes = open();
    await volumes.ensureDrive(drive({ two: 'second-text' }));
    await volumes.ensureDrive(drive({ two: 'second-text' }));
    expect((await stat(path())).ino).toBe(ino);
    const content = await readFile(path());
    expect(content.includes('second-text')).toBe(true);
    expect(content.includes('first-text')).toBe(false);
    expect(await volumes.listExports(node)).toHaveLength(1);
  });

  it('takes no files that do not fit, and none beside it', async () => {
    await rejection(open().ensureDrive(drive({ large: 'x'.repeat(9 * mib) })), 'invalid');
    await rejection(open().ensureDrive(drive({ '../beside': '' })), 'internal');
    expect(await open().listMadeFor(node)).toEqual([]);
  });

  it('is written over before it goes, however other volumes are wiped', async () => {
    await open().ensureDrive(drive({ one: 'text' }));
    await link(path(), join(directory, 'kept'));
    await open().deleteVolume(volumeId, undefined, 'none');
    expect(await isZero(join(directory, 'kept'))).toBe(true);
    expect((await readdir(data())).filter((name) => name.startsWith(volumeId))).toEqual([]);
    await open().deleteVolume(volumeId);
  });

  it.each([
    ['none', false],
    ['zero', true],
    ['discard', true],
  ] as const)('wipes a volume that goes: %s', async (wipe, zero) => {
    const volumes = open();
    await volumes.ensureVolumeFromImage({ id: volumeId, image: 'demo', sizeBytes: 64 * mib, node, instance });
    const kept = join(directory, 'kept');
    await link(join(data(), `${volumeId}.raw`), kept);
    const before = (await stat(kept)).blocks;
    await volumes.deleteVolume(volumeId, undefined, wipe);
    expect(await isZero(kept)).toBe(zero);
    const { blocks, size } = await stat(kept);
    expect(size).toBe(64 * mib);
    if (wipe === 'discard') expect(blocks).toBeLessThan(before);
    else expect(blocks).toBeLessThanOrEqual(before + 8); // holes stay holes
  });
});
