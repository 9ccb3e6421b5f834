import { DpuError } from '../../../core/errors.ts';
import { exec } from '../../../kit/exec.ts';

const convertMs = 3_600_000;

/** Runs qemu-img(1). @throws DpuError `unavailable` without it, `exhausted`, `internal`, `timeout`. */
export async function runImageTool(args: readonly string[], signal?: AbortSignal): Promise<void> {
  const { code, stderr } = await exec('qemu-img', args, { timeoutMs: convertMs, signal, env: { LC_ALL: 'C' } });
  if (code === 0) return;
  if (/No space left/.test(stderr)) throw new DpuError('exhausted', 'there is no room for a volume');
  throw new DpuError('internal', 'an image could not be converted', { cause: new Error(stderr.trim().slice(-500)) });
}
