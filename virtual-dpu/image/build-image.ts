import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import { makeBootDisk, syslinuxConfig } from './boot-disk.ts';
import { BUSYBOX, initramfs } from './initramfs.ts';
import { guestKernel } from './kernel.ts';
import { run } from './run.ts';

/** What to make of the small guest. */
export interface SmallImageOptions {
  /** Where the raw image goes; replaced when it is there. */
  readonly output: string;
  /** Host name until a config drive, metadata or DHCP gives one; default `guest`. */
  readonly hostname?: string;
  /** root's password; without one root logs in with none. */
  readonly password?: string;
  /** Printed above the login prompt. */
  readonly banner?: string;
  /** Seconds that the login prompt waits for an address and metadata where there is no config drive; default 10. */
  readonly metadataWait?: number;
  /** Added to the kernel's command line. */
  readonly append?: string;
}

/** Bytes of the small image: a volume made from it must be at least as large. */
export const SMALL_IMAGE_BYTES = 32 * 1024 * 1024;

/**
 * Makes the small guest's disk, offline: Debian's cloud kernel and busybox, all in RAM. It boots from whatever disk it is given (BIOS), brings
 * up every NIC by DHCP, hot-plugged ones too, takes host name, password and user data from a config drive or the metadata service, and prints
 * them and a login prompt on the first serial port. `facts` in its shell tells what it sees. Resolves with the image's absolute path.
 * @throws DpuError `unavailable` (kernel, busybox or a tool is missing), `invalid` (host name).
 */
export async function buildImage(options: SmallImageOptions): Promise<string> {
  const {
    hostname = 'guest',
    password,
    banner = 'Small guest of a virtual DPU',
    metadataWait = 10,
    append = '',
  } = options;
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(hostname)) {
    throw new DpuError('invalid', 'a host name is letters, digits and hyphens', { field: 'hostname' });
  }
  const output = resolve(options.output);
  const kernel = await guestKernel();
  const passwordHash = password === undefined ? '' : await cryptPassword(password);
  const scratch = await mkdtemp(join(dirname(output), '.image-'));
  try {
    const initrd = join(scratch, 'initrd.gz');
    const config = join(scratch, 'syslinux.cfg');
    const image = join(scratch, 'image');
    await writeFile(initrd, await initramfs(kernel, { hostname, passwordHash, banner, metadataWait }));
    await writeFile(config, syslinuxConfig(`console=ttyS0 quiet panic=1 mitigations=off ${append}`.trim()));
    await makeBootDisk(image, {
      sizeBytes: SMALL_IMAGE_BYTES,
      bootBytes: SMALL_IMAGE_BYTES,
      files: { 'syslinux.cfg': config, vmlinuz: kernel.file, 'initrd.gz': initrd },
    });
    await rename(image, output);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return output;
}

/** SHA-512 crypt of a password, which is never in an argument list. */
async function cryptPassword(password: string): Promise<string> {
  return (await run(BUSYBOX, ['mkpasswd', '-P', '0', '-m', 'sha512'], { input: `${password}\n` })).trim();
}
