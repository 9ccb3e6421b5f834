import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { HostPart } from '../description.ts';
import { logDir, socketPath } from '../paths.ts';
import type { HostSettings } from './settings.ts';

/** How many root ports a server has. All are declared at its start: QEMU can't add one later. */
export const ROOT_PORTS = 16;

/** Slot of root port 0. Port 15 is then at 0x1e, below the ISA bridge at 0x1f, and the ports' order is that of their buses. */
const FIRST_SLOT = 0x0f;

/** UEFI for aarch64, whose machine has no firmware of its own (Debian's qemu-efi-aarch64). */
const AAVMF = '/usr/share/AAVMF/AAVMF_CODE.fd';

/** A server's sockets and console log. */
export type HostPaths = Pick<HostPart, 'qmp' | 'serial' | 'serialLog'>;

/** QEMU's program for a machine. */
export function qemuProgram(arch: HostPart['arch']): string {
  return `qemu-system-${arch}`;
}

/** The Debian package that QEMU's program for a machine is in. */
export function qemuPackage(arch: HostPart['arch']): string {
  return arch === 'x86_64' ? 'qemu-system-x86' : 'qemu-system-arm';
}

/** Where the sockets of a state directory's server are. @throws DpuError `invalid` for a path that is too long. */
export function hostPaths(stateDir: string): HostPaths {
  const dir = join(stateDir, 'host');
  return {
    qmp: {
      bmc: socketPath(dir, 'qmp-bmc.sock'),
      snic: socketPath(dir, 'qmp-snic.sock'),
      storage: socketPath(dir, 'qmp-storage.sock'),
      debug: socketPath(dir, 'qmp-debug.sock'),
    },
    serial: socketPath(dir, 'serial.sock'),
    serialLog: join(logDir(stateDir), 'serial.log'),
  };
}

/**
 * The root ports. Firmware gives the only bus behind each one the next number, in the order of their slots, whether something is plugged in
 * or not: so port i has bus i+1.
 */
export function rootPorts(): HostPart['rootPorts'] {
  return Array.from({ length: ROOT_PORTS }, (_, index) => ({
    index,
    id: `rp${index}`,
    bdf: `0000:${(index + 1).toString(16).padStart(2, '0')}:00.0`,
  }));
}

/** QEMU's command line for a server that waits, powered off, and stays when its guest powers it off. */
export function machineArgv(name: string, settings: HostSettings, paths: HostPaths): readonly [string, ...string[]] {
  const { arch, cpus, memoryMib, serialNumber, uuid } = settings;
  return [
    qemuProgram(arch),
    ...['-name', `${name},debug-threads=on`, '-no-user-config', '-nodefaults', '-display', 'none'],
    ...['-S', '-no-shutdown', '-boot', 'strict=on', '-accel', settings.accel, ...model(settings)],
    ...['-smp', String(cpus), '-m', String(memoryMib)],
    // Shared, so that a vhost-user back end in another process can map it.
    ...['-object', `memory-backend-memfd,id=mem0,size=${memoryMib}M,share=on`],
    ...['-uuid', uuid],
    ...['-smbios', `type=1,manufacturer=dpu-compute,product=virtual-server,serial=${serialNumber},uuid=${uuid}`],
    ...['-smbios', `type=3,manufacturer=dpu-compute,serial=${serialNumber}`],
    ...Object.entries(paths.qmp).flatMap(([user, path]) => [
      ...['-chardev', `socket,id=qmp-${user},path=${escaped(path)},server=on,wait=off`],
      ...['-mon', `chardev=qmp-${user},mode=control`],
    ]),
    '-chardev',
    `socket,id=serial0,path=${escaped(paths.serial)},server=on,wait=off,logfile=${escaped(paths.serialLog)},logappend=on`,
    ...['-serial', 'chardev:serial0'],
    ...rootPorts().flatMap(({ index, id }) => ['-device', rootPort(index, id)]),
  ];
}

function rootPort(index: number, id: string): string {
  const slot = `0x${(FIRST_SLOT + index).toString(16)}`;
  return `pcie-root-port,id=${id},bus=pcie.0,chassis=${index + 1},slot=${index + 1},addr=${slot},io-reserve=0`;
}

/** Machine and CPU. `graphics=off` has SeaBIOS speak on the serial console. */
function model({ arch, accel, cpus }: HostSettings): readonly string[] {
  if (arch === 'x86_64') {
    // The least CPU that today's distributions are built for (x86-64-v2), and a source of entropy.
    const cpu = accel === 'kvm' ? 'host' : 'Nehalem-v1,+rdrand';
    return ['-M', 'q35,memory-backend=mem0,graphics=off', '-cpu', cpu];
  }
  // GICv2 ends at 8 CPUs.
  const machine = `virt,memory-backend=mem0${cpus > 8 ? ',gic-version=3' : ''}`;
  const firmware = existsSync(AAVMF) ? ['-drive', `if=pflash,format=raw,readonly=on,file=${AAVMF}`] : [];
  return ['-M', machine, '-cpu', accel === 'kvm' ? 'host' : 'cortex-a57', ...firmware];
}

/** A value in a QEMU option: a comma is written twice. */
function escaped(value: string): string {
  return value.replaceAll(',', ',,');
}
