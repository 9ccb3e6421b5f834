import { DpuError } from '../../core/errors.ts';
import { exec } from '../../kit/exec.ts';

/** Which Debian package a tool is from, for the message when it is missing. */
const packages: Readonly<Record<string, string>> = {
  sfdisk: 'fdisk',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
  syslinux: 'syslinux',
  mmdebstrap: 'mmdebstrap',
  'qemu-img': 'qemu-utils',
  'mkfs.ext4': 'e2fsprogs',
};

/** Runs a tool to its end and answers its output. @throws DpuError `unavailable` without the tool, `internal` with what it said when it fails, `timeout`. */
export async function run(
  program: string,
  args: readonly string[],
  options: {
    readonly input?: string;
    readonly timeoutMs?: number;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<string> {
  const { timeoutMs = 60_000, ...rest } = options;
  try {
    // Debian keeps mkfs and sfdisk out of a user's PATH
    const env = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, MTOOLS_SKIP_CHECK: '1', LC_ALL: 'C', ...rest.env };
    const { code, stdout, stderr } = await exec(program, args, { timeoutMs, ...rest, env });
    if (code === 0) return stdout;
    throw new DpuError(
      'internal',
      `${program} failed with status ${code}: ${stderr.trim().split('\n').slice(-5).join(' | ')}`,
    );
  } catch (error) {
    if (!(error instanceof DpuError) || error.code !== 'unavailable') throw error;
    throw new DpuError('unavailable', `there is no ${program}: install ${packages[program] ?? program}`, {
      cause: error,
    });
  }
}
