import { DpuError, hasCode } from '../../../core/errors.ts';
import { type ExecResult, exec } from '../../../kit/exec.ts';

/** Runs one program of the card. */
export interface Program {
  /** Ends with its output. @throws `hardware` when it fails; `unavailable` when it can't be started; `timeout`; the signal's reason. */
  run(doing: string, args: readonly string[], limits?: RunLimits): Promise<string>;
  /** The same for one that prints JSON; nothing counts as `{}`. @throws `hardware` when it does not. */
  json(doing: string, args: readonly string[], limits?: RunLimits): Promise<unknown>;
}

/** How long it may take, and who may stop it. */
export interface RunLimits {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const maxBytes = 4 * 1024 * 1024;

/** Binds a program's path and its deadline in milliseconds. It is run without a shell. */
export function createProgram(path: string, timeoutMs: number): Program {
  const run: Program['run'] = async (doing, args, limits = {}) => {
    const { code, stdout, stderr } = await start(doing, args, limits);
    if (code === 0) return stdout;
    const says = (stderr.trim() || stdout.trim()).slice(0, 500);
    throw new DpuError('hardware', doing, { cause: new Error(`${path} exited with ${code}: ${says}`) });
  };
  const start = async (doing: string, args: readonly string[], limits: RunLimits): Promise<ExecResult> => {
    try {
      return await exec(path, args, { timeoutMs, maxBytes, ...limits });
    } catch (error) {
      if (!hasCode(error, 'internal')) throw error;
      throw new DpuError('hardware', doing, { cause: error }); // it crashed, or wrote without end
    }
  };
  return {
    run,
    json: async (doing, args, limits) => {
      const text = await run(doing, args, limits);
      try {
        return JSON.parse(text.trim() || '{}') as unknown;
      } catch (cause) {
        throw new DpuError('hardware', `${doing}: the answer is unreadable`, { cause });
      }
    },
  };
}
