import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { qemuProgram } from './machine.ts';

/** The boot sector that kvm-trial.S is the source of, without the zeroes and the signature at its end. */
const BOOT_SECTOR =
  '+vwxwI7YjsCO0LwAfL8AELkAGPOrxwYAEAMgxwYAIAMwxwYAMIMAZrgAEAAADyLYDyDgZoPIIA8i4Ga5gAAAwA8yZg0AAQAADzAPARbIfA8gwGYNAQAAgA8iwOpgfAgA' +
  'ZrgQAI7YjsCO0L4AEAAAvwBQAAAxwEiJB0iJRwhIiwdIi1cISI1YAUiJ0fBID8cPdesPINgPItj/znXhSIE/ABAAAHUEsBDm9PTr/Q8fQAAAAAAAAAAAAAAAAAAAmiAA' +
  'AAAAAACSAAAXALB8';

/** What QEMU ends with when the boot sector came to its end: isa-debug-exit's (0x10 << 1) | 1. */
const PASSED = 33;

/** SeaBIOS reads no disk that is smaller. */
const DISK_BYTES = 1 << 20;

/** Whether an accelerator runs a guest, and else why not, in words. */
export type AccelVerdict = { readonly usable: true } | { readonly usable: false; readonly why: string };

/**
 * Boots something under an accelerator, with a deadline. That /dev/kvm can be opened proves nothing: KVM on a hypervisor without nested
 * virtualisation may run firmware and then hang in the first instruction that it can't emulate.
 */
export async function tryAccel(
  accel: 'kvm' | 'tcg',
  options: { readonly deadlineMs?: number } = {},
): Promise<AccelVerdict> {
  if (accel === 'kvm' && !existsSync('/dev/kvm')) return { usable: false, why: 'there is no /dev/kvm' };
  const dir = await mkdtemp(join(tmpdir(), 'kvm-trial-'));
  try {
    const disk = join(dir, 'disk');
    await writeFile(disk, bootDisk());
    return await boot(accel, disk, options.deadlineMs ?? 5000);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function bootDisk(): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  Buffer.from(BOOT_SECTOR, 'base64').copy(disk);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

function boot(accel: 'kvm' | 'tcg', disk: string, deadlineMs: number): Promise<AccelVerdict> {
  const argv = [
    ...['-M', 'q35', '-accel', accel, '-cpu', accel === 'kvm' ? 'host' : 'Nehalem-v1', '-m', '64'],
    ...['-no-user-config', '-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
    ...['-drive', `file=${disk.replaceAll(',', ',,')},format=raw,if=none,id=disk`, '-device', 'ide-hd,drive=disk'],
  ];
  return new Promise((resolve) => {
    const settings = { timeout: deadlineMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20 } as const;
    execFile(qemuProgram('x86_64'), argv, settings, (error, _stdout, stderr) => {
      if (error?.code === PASSED) return resolve({ usable: true });
      if (error?.code === 'ENOENT') return resolve({ usable: false, why: 'qemu-system-x86 is not installed' });
      const said = stderr.trim().split('\n')[0] ?? '';
      const what = error?.killed
        ? `a trial guest did not get through its start in ${deadlineMs / 1000} s`
        : 'QEMU ended';
      resolve({ usable: false, why: said === '' ? what : `${what} (${said})` });
    });
  });
}
