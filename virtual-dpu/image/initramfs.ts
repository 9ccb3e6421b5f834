import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DpuError } from '../../core/errors.ts';
import { type CpioEntry, cpioArchive } from './cpio.ts';
import type { GuestKernel } from './kernel.ts';

/** What differs from one small guest to the next. */
export interface GuestSettings {
  /** Host name until a config drive, metadata or DHCP gives one. */
  readonly hostname: string;
  /** root's password as crypt(3) made it; empty: none is asked for. */
  readonly passwordHash: string;
  /** Printed above the login prompt. */
  readonly banner: string;
  /** Seconds that the login prompt waits for DHCP and metadata when there is no config drive. */
  readonly metadataWait: number;
}

/** Debian's busybox-static: every program of the guest but wget, which crashes in the static C library's look-up of services. */
export const BUSYBOX = '/bin/busybox';

/** Scripts that are called by name in the guest's shell. */
const COMMANDS = new Set(['facts', 'http-get', 'power-button']);

const applets =
  '[ acpid awk base64 basename blkdiscard blockdev cat chmod chown chroot cmp cp cut date dd df diff dirname dmesg du echo env expr ' +
  'fallocate false fdisk find fsfreeze fstrim getty grep gunzip gzip halt head hexdump hostname httpd id ifconfig init insmod ip kill killall ln login logger ' +
  'ls lsmod md5sum mkdir mke2fs mkfifo mknod mkpasswd mktemp mount mv nc netstat nproc nslookup od partprobe passwd ping ping6 pgrep poweroff printf ps pwd ' +
  'readlink reboot rm rmdir route sed seq setsid sh sha256sum sleep sort stat stty sync tail tar tee telnet test time timeout top touch tr ' +
  'traceroute true truncate tty udhcpc uevent umount uname uniq uptime usleep vi watch wc which xargs yes';

/** The guest's whole file system as a compressed initial RAM disk. @throws DpuError `unavailable` without busybox-static. */
export async function initramfs(kernel: GuestKernel, settings: GuestSettings): Promise<Buffer> {
  const scripts = join(import.meta.dirname, 'guest');
  const files: CpioEntry[] = [];
  for (const name of (await readdir(scripts)).sort()) {
    const content = await readFile(join(scripts, name));
    const path = name === 'init' ? name : COMMANDS.has(name) ? `bin/${name}` : `etc/${name}`;
    files.push({ path, kind: 'file', mode: 0o755, content });
  }
  const text = (path: string, content: string, mode = 0o644): CpioEntry => ({ path, kind: 'file', mode, content });
  return gzipSync(
    cpioArchive([
      ...[
        'bin',
        'dev',
        'etc',
        'etc/acpi',
        'etc/acpi/PWRF',
        'lib',
        'lib/modules',
        'proc',
        'root',
        'sys',
        'tmp',
        'mnt',
      ].map((path): CpioEntry => ({ path, kind: 'directory' })),
      { path: 'dev/console', kind: 'device', device: [5, 1] },
      { path: 'bin/busybox', kind: 'file', mode: 0o755, content: await busybox() },
      ...applets.split(' ').map((name): CpioEntry => ({ path: `bin/${name}`, kind: 'link', content: 'busybox' })),
      { path: 'sbin', kind: 'link', content: 'bin' },
      { path: 'etc/acpi/PWRF/00000080', kind: 'link', content: '/bin/power-button' },
      ...files,
      text('etc/passwd', 'root:x:0:0:root:/:/bin/sh\n'),
      text('etc/group', 'root:x:0:\n'),
      text('etc/shadow', `root:${settings.passwordHash}:19000:0:99999:7:::\n`, 0o600),
      text('etc/hostname', `${settings.hostname}\n`),
      text('etc/issue', `\n${settings.banner}\n\n`),
      text('etc/profile', "export PATH=/bin PS1='# '\nstty cols 132 rows 40\n"),
      text('etc/hosts', '127.0.0.1 localhost\n'),
      text('etc/metadata-wait', `${settings.metadataWait}\n`),
      text('etc/modules', `${kernel.modules.map(({ name }) => name).join('\n')}\n`),
      ...kernel.modules.map(
        ({ name, content }): CpioEntry => ({ path: `lib/modules/${name}.ko`, kind: 'file', content }),
      ),
    ]),
    { level: 6 },
  );
}

async function busybox(): Promise<Buffer> {
  try {
    const program = await readFile(BUSYBOX);
    // PT_INTERP (elf(5)) would mean that it needs libraries, which the guest has not
    if (program.includes('/lib64/ld-linux'))
      throw new DpuError('unavailable', `${BUSYBOX} is not static: install busybox-static`);
    return program;
  } catch (cause) {
    if (cause instanceof DpuError) throw cause;
    throw new DpuError('unavailable', `there is no ${BUSYBOX}: install busybox-static`, { cause });
  }
}
