import { type ExecFileException, execFile } from 'node:child_process';
import { DpuError } from '../core/errors.ts';

/** How a program is run. */
export interface ExecOptions {
  /** The program is killed after this; milliseconds. */
  readonly timeoutMs: number;
  /** Written to its standard input, which is empty otherwise. */
  readonly input?: string;
  /** Variables on top of ours. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Longest output of each stream; default 16 MiB. */
  readonly maxBytes?: number;
}

/** How a program ended. */
export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program without a shell and waits for its end; a code other than 0 is an answer, not an error.
 * @throws DpuError `unavailable` when it can't be started, `timeout` when it was killed at the deadline, `internal` when another
 * signal ended it or it wrote too much; the signal's reason when aborted.
 */
export function exec(program: string, args: readonly string[], options: ExecOptions): Promise<ExecResult> {
  const { timeoutMs, input = '', env, signal, maxBytes = 16 * 1024 * 1024 } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const child = execFile(
      program,
      [...args],
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: maxBytes,
        env: env ? { ...process.env, ...env } : process.env,
        ...(signal ? { signal } : {}),
      },
      (error, stdout, stderr) => {
        if (!error) resolve({ code: 0, stdout, stderr });
        else if (signal?.aborted) reject(signal.reason);
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else reject(reasonOf(program, error, timeoutMs));
      },
    );
    child.stdin?.on('error', () => undefined); // a program that does not read its input says so by its code
    child.stdin?.end(input);
  });
}

function reasonOf(program: string, cause: ExecFileException, timeoutMs: number): DpuError {
  const { code } = cause as { code?: unknown };
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') {
    return new DpuError('internal', `${program} wrote more than was allowed`, { cause });
  }
  if (typeof code === 'string') return new DpuError('unavailable', `${program} can't be started`, { cause });
  if (cause.killed) return new DpuError('timeout', `${program} did not end within ${timeoutMs} ms`, { cause });
  return new DpuError('internal', `${program} was ended by a signal`, { cause });
}
