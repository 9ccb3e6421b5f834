import { open, rm } from 'node:fs/promises';
import { run } from './run.ts';

/** Where the boot partition begins: sector 2048. */
const PARTITION_OFFSET = 1024 * 1024;
const MBR = '/usr/lib/syslinux/mbr/mbr.bin';

/** What a boot disk is made of. */
export interface BootDisk {
  /** Bytes of the whole disk. */
  readonly sizeBytes: number;
  /** Bytes of the boot partition; the rest is a second partition when `root` is given. */
  readonly bootBytes: number;
  /** Files for the root of the boot partition: name there -> file here. syslinux.cfg and what it names must be among them. */
  readonly files: Readonly<Record<string, string>>;
  /** A directory that becomes an ext4 file system labelled `root` in the second partition. */
  readonly root?: string;
}

/**
 * Makes a raw disk image that a BIOS boots: a DOS partition table, an active FAT partition with syslinux, and perhaps ext4 behind it. Needs
 * neither a loop device nor a mount; a `root` directory with other owners' files needs root. The file is sparse.
 * @throws DpuError `unavailable` when a tool is missing, `internal` when one fails.
 */
export async function makeBootDisk(image: string, disk: BootDisk): Promise<void> {
  await rm(image, { force: true });
  const bootSectors = Math.floor(disk.bootBytes / 512) - 2048;
  const partitions = [
    `start=2048, size=${bootSectors}, type=e, bootable`,
    ...(disk.root === undefined ? [] : ['type=83']),
  ];
  const handle = await open(image, 'wx', 0o644);
  try {
    await handle.truncate(disk.sizeBytes);
    const input = `label: dos\nunit: sectors\n${partitions.join('\n')}\n`;
    await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', image], { input });
    const mbr = await open(MBR, 'r');
    try {
      const { bytesRead, buffer } = await mbr.read(Buffer.alloc(440), 0, 440, 0);
      await handle.write(buffer, 0, bytesRead, 0);
    } finally {
      await mbr.close();
    }
  } finally {
    await handle.close();
  }
  // FAT16 by name: left alone, it would be chosen by the size of the whole file. The label must differ from those of config drives.
  await run('mkfs.vfat', [
    '-F',
    '16',
    '-n',
    'GUESTBOOT',
    '-h',
    '2048',
    '--offset',
    '2048',
    image,
    String(bootSectors / 2),
  ]);
  const target = `${image}@@${PARTITION_OFFSET}`;
  for (const [name, file] of Object.entries(disk.files)) await run('mcopy', ['-i', target, file, `::${name}`]);
  await run('syslinux', ['--offset', String(PARTITION_OFFSET), '--install', image]);
  if (disk.root !== undefined) await makeRoot(image, disk, disk.root);
}

async function makeRoot(image: string, disk: BootDisk, root: string): Promise<void> {
  const kib = Math.floor((disk.sizeBytes - disk.bootBytes) / 1024);
  const options = ['-q', '-L', 'root', '-E', `offset=${disk.bootBytes}`, '-d', root, image, `${kib}k`];
  await run('mkfs.ext4', options, { timeoutMs: 300_000 });
}

/** Text of a syslinux.cfg that boots at once and shows itself on the serial console. */
export function syslinuxConfig(commandLine: string): string {
  return [
    'SERIAL 0 115200',
    'DEFAULT linux',
    'PROMPT 0',
    'TIMEOUT 0',
    'LABEL linux',
    '  KERNEL vmlinuz',
    '  INITRD initrd.gz',
    `  APPEND ${commandLine}`,
    '',
  ].join('\n');
}
