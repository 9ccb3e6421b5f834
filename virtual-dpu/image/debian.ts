import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import { makeBootDisk, syslinuxConfig } from './boot-disk.ts';
import { run } from './run.ts';

/** What to make of the Debian guest. */
export interface DebianImageOptions {
  /** Where the raw image goes; replaced when it is there. */
  readonly output: string;
  /** Default 2 GiB. */
  readonly sizeBytes?: number;
  /** Default `bookworm`. */
  readonly suite?: string;
  /** Where the packages come from; default what apt on this machine uses. */
  readonly mirror?: string;
  /** root's password until user data sets one; without one nobody logs in before. */
  readonly password?: string;
}

const BOOT_BYTES = 128 * 1024 * 1024;

const packages = [
  'linux-image-cloud-amd64',
  'systemd-sysv',
  'systemd-resolved',
  'dbus',
  'udev',
  'cloud-init',
  'openssh-server',
  'sudo',
].concat([
  'iproute2',
  'iputils-ping',
  'ca-certificates',
  'pciutils',
  'procps',
  'kmod',
  'e2fsprogs',
  'cloud-guest-utils',
  'fdisk',
]);

/** NICs are networkd's, hot-plugged ones too: cloud-init leaves them alone. */
const network = '[Match]\nType=ether\n\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n\n[DHCPv4]\nClientIdentifier=mac\n';
const cloudConfig = [
  'datasource_list: [NoCloud, ConfigDrive, OpenStack, Ec2, None]',
  'datasource:',
  '  Ec2: {strict_id: false, timeout: 3, max_wait: 6}',
  '  OpenStack: {timeout: 3, max_wait: 6}',
  'network: {config: disabled}',
  'locale: false',
  'disable_root: false',
  'ssh_pwauth: true',
  '',
].join('\n');

/**
 * Makes a real Debian with systemd, cloud-init and an SSH server, by mmdebstrap out of the packages of a mirror: some minutes, and root. It boots
 * (BIOS) with a console on the first serial port. Resolves with the image's absolute path.
 * @throws DpuError `denied` when not root, `unavailable` when a tool is missing, `internal` with what mmdebstrap said when it fails.
 */
export async function buildDebianImage(options: DebianImageOptions): Promise<string> {
  const { sizeBytes = 2 * 1024 ** 3, suite = 'bookworm', mirror, password } = options;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1024 ** 3) {
    throw new DpuError('invalid', 'a Debian image needs at least 1024 MiB', { field: 'sizeBytes' });
  }
  if (process.getuid?.() !== 0)
    throw new DpuError('denied', 'a Debian image is made as root: files in it belong to many users');
  const output = resolve(options.output);
  const scratch = await mkdtemp(join(dirname(output), '.image-'));
  const root = join(scratch, 'root');
  const image = join(scratch, 'image');
  try {
    await run(
      'mmdebstrap',
      [
        ...[
          '--mode=root',
          '--variant=minbase',
          `--include=${packages.join(',')}`,
          '--aptopt=APT::Install-Recommends "false"',
        ],
        ...['--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/locale/*', '--quiet'],
        ...[suite, root, ...(mirror === undefined ? [] : [mirror])],
      ],
      { timeoutMs: 1_200_000 },
    );
    await configure(root, password);
    const boot = await readdir(join(root, 'boot'));
    const newest = (prefix: string): string =>
      join(
        root,
        'boot',
        boot
          .filter((name) => name.startsWith(prefix))
          .sort()
          .at(-1) ?? prefix,
      );
    const config = join(scratch, 'syslinux.cfg');
    await writeFile(
      config,
      syslinuxConfig('root=/dev/disk/by-label/root rw console=ttyS0 mitigations=off net.ifnames=0'),
    );
    await makeBootDisk(image, {
      sizeBytes,
      bootBytes: BOOT_BYTES,
      files: { 'syslinux.cfg': config, vmlinuz: newest('vmlinuz-'), 'initrd.gz': newest('initrd.img-') },
      root,
    });
    await rename(image, output);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return output;
}

async function configure(root: string, password: string | undefined): Promise<void> {
  const write = (path: string, text: string): Promise<void> => writeFile(join(root, path), text);
  await write('etc/fstab', 'LABEL=root / ext4 rw,relatime 0 1\n');
  await write('etc/hostname', 'debian\n');
  await write('etc/hosts', '127.0.0.1 localhost\n');
  await write('etc/systemd/network/80-dhcp.network', network);
  await write('etc/cloud/cloud.cfg.d/90-virtual-dpu.cfg', cloudConfig);
  await write('etc/cloud/ds-identify.cfg', 'policy: enabled\n');
  await run('chroot', [root, 'systemctl', 'enable', 'systemd-networkd', 'ssh']);
  await run('chroot', [
    root,
    'systemctl',
    'mask',
    'apt-daily.timer',
    'apt-daily-upgrade.timer',
    'e2scrub_reap.service',
  ]);
  // each guest is to make its own
  await run('sh', ['-c', 'rm -f "$1"/etc/ssh/ssh_host_* && : >"$1/etc/machine-id"', 'sh', root]);
  if (password !== undefined) await run('chroot', [root, 'chpasswd'], { input: `root:${password}\n` });
}
