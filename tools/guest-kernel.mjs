/** The kernel of the virtual DPU's guests: Debian's cloud kernel, downloaded once into a cache and not installed. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';

/** The modules that guests need, in the order in which they can be loaded (`modinfo -F depends`). */
const MODULES = [
  ...[
    'virtio_ring',
    'virtio',
    'virtio_pci_modern_dev',
    'virtio_pci_legacy_dev',
    'virtio_pci',
    'failover',
    'net_failover',
  ],
  ...[
    'virtio_net',
    'virtio_blk',
    'cdrom',
    'isofs',
    'nls_cp437',
    'nls_iso8859-1',
    'nls_ascii',
    'fat',
    'vfat',
    'evdev',
    'button',
  ],
];

const META_PACKAGE = 'linux-image-cloud-amd64';

/** Whether the cache holds a kernel; then nothing is fetched. */
export function hasGuestKernel(cache) {
  return existsSync(join(cache, 'amd64/version'));
}

/**
 * Downloads the newest cloud kernel that apt knows (27 MB), takes from it what guests need and removes the rest. Nothing is installed. With package
 * lists that are absent or old, root gets new ones. The answer is undefined, or why it could not be done.
 */
export function fetchGuestKernel(cache) {
  const problem = fetchOnce(cache);
  if (problem === undefined || process.getuid?.() !== 0) return problem;
  if (run('apt-get', ['update', '-q']).status !== 0) return problem;
  return fetchOnce(cache);
}

function fetchOnce(cache) {
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, 'download-'));
  try {
    const name = kernelPackage();
    if (name === undefined) return `apt knows no ${META_PACKAGE}: as root, apt-get update; or another mirror`;
    // apt's own sandbox user may not be able to write here
    const got = run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], scratch);
    const deb = readdirSync(scratch).find((file) => file.endsWith('.deb'));
    if (got.status !== 0 || deb === undefined) {
      return `apt-get download ${name} failed: ${got.stderr.trim().split('\n').pop()}`;
    }
    if (run('dpkg-deb', ['-x', deb, 'package'], scratch).status !== 0) return `${deb} can't be unpacked`;
    collect(scratch, deb);
    rmSync(join(cache, 'amd64'), { recursive: true, force: true });
    renameSync(join(scratch, 'amd64'), join(cache, 'amd64'));
    return undefined;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function kernelPackage() {
  const { stdout } = run('apt-cache', ['depends', '--no-recommends', '--no-suggests', META_PACKAGE]);
  return /Depends: (linux-image-\S+-cloud-amd64)/.exec(stdout)?.[1];
}

function collect(scratch, deb) {
  const target = join(scratch, 'amd64');
  mkdirSync(join(target, 'modules'), { recursive: true });
  const boot = join(scratch, 'package/boot');
  const kernel = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  cpSync(join(boot, kernel), join(target, 'vmlinuz'));
  const wanted = new Set(MODULES.map((name) => `${name}.ko`));
  for (const entry of readdirSync(join(scratch, 'package/lib/modules'), { recursive: true, withFileTypes: true })) {
    if (wanted.has(entry.name))
      cpSync(join(entry.parentPath ?? dirname(entry.path), entry.name), join(target, 'modules', entry.name));
  }
  writeFileSync(join(target, 'modules.order'), `${MODULES.join('\n')}\n`);
  writeFileSync(join(target, 'version'), `${basename(deb, '.deb').split('_')[1]}\n`); // last: its presence says that the rest is whole
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  return { status: status ?? 127, stdout: stdout ?? '', stderr: stderr ?? error?.message ?? '' };
}
