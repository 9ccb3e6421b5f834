/** What a virtual DPU needs of the machine: programs with their Debian packages, and rights. */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { DpuError } from '../core/errors.ts';
import type { HostPart } from './description.ts';
import { qemuPackage, qemuProgram } from './host/machine.ts';

/** What is asked of the machine. */
export interface Wanted {
  readonly arch: HostPart['arch'];
  readonly ovn: boolean;
  readonly tenant: boolean;
}

/** A program or file that something needs. */
export interface Requirement {
  /** A name in PATH, or an absolute path. */
  readonly file: string;
  /** The Debian package that brings it. */
  readonly package: string;
  readonly why: string;
}

/** Bits of capabilities(7). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

/** What `up` needs. */
export function requirements(wanted: Wanted): readonly Requirement[] {
  return [
    { file: qemuProgram(wanted.arch), package: qemuPackage(wanted.arch), why: 'the server' },
    { file: 'qemu-storage-daemon', package: 'qemu-system-common', why: 'storage' },
    { file: 'ovs-vswitchd', package: 'openvswitch-switch', why: 'the switch' },
    { file: 'ip', package: 'iproute2', why: 'network namespaces' },
    { file: 'nsenter', package: 'util-linux', why: 'network namespaces' },
    { file: 'ipmi_sim', package: 'openipmi', why: 'IPMI of the BMC' },
    { file: 'socat', package: 'socat', why: "the BMC's serial console" },
    { file: 'openssl', package: 'openssl', why: "the certificate of the BMC's Redfish" },
    ...(wanted.tenant
      ? [
          { file: 'ethtool', package: 'ethtool', why: 'checksums that userspace Open vSwitch does not complete' },
          { file: 'dnsmasq', package: 'dnsmasq-base', why: 'DHCP of the tenant network' },
        ]
      : []),
    ...(wanted.ovn
      ? [
          { file: 'ovn-northd', package: 'ovn-central', why: 'OVN' },
          { file: 'ovn-controller', package: 'ovn-host', why: 'OVN' },
        ]
      : []),
  ];
}

/** What only some commands need. */
export const CONVENIENCES: readonly Requirement[] = [
  { file: 'ipmitool', package: 'ipmitool', why: '`virtual-dpu console`' },
  { file: '/bin/busybox', package: 'busybox-static', why: '`virtual-dpu image`' },
  { file: 'syslinux', package: 'syslinux', why: '`virtual-dpu image`' },
  { file: 'mcopy', package: 'mtools', why: '`virtual-dpu image`' },
  { file: 'mkfs.vfat', package: 'dosfstools', why: '`virtual-dpu image`' },
  { file: 'sfdisk', package: 'fdisk', why: '`virtual-dpu image`' },
];

/** Those of a list that are not here. */
export function missing(list: readonly Requirement[]): readonly Requirement[] {
  return list.filter(({ file }) => !isHere(file));
}

/** @throws DpuError `unavailable` naming every package that is missing. */
export function checkPrograms(wanted: Wanted): void {
  const absent = missing(requirements(wanted));
  if (absent.length === 0) return;
  const packages = [...new Set(absent.map((each) => each.package))];
  throw new DpuError(
    'unavailable',
    `not here: ${absent.map(({ file, why }) => `${file} (${why})`).join(', ')}. As root: apt-get install --no-install-recommends ${packages.join(' ')}`,
  );
}

/** The capabilities that this process would need and has not. */
export function missingCapabilities(): readonly string[] {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return Object.entries(CAPABILITIES).flatMap(([name, bit]) =>
    (BigInt(`0x${effective}`) >> BigInt(bit)) & 1n ? [] : [name],
  );
}

/** @throws DpuError `denied` when network namespaces can't be made. */
export function checkRights(): void {
  const absent = missingCapabilities();
  if (absent.length > 0) {
    throw new DpuError('denied', `a virtual DPU makes network namespaces, which needs root (${absent.join(', ')})`);
  }
}

/** Whether a program is in PATH, or a file exists. Debian keeps some programs where only root's PATH leads. */
export function isHere(file: string): boolean {
  if (file.startsWith('/')) return existsSync(file);
  const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return dirs.some((dir) => dir !== '' && existsSync(join(dir, file)));
}
