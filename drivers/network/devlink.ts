import { DpuError } from '../../core/errors.ts';
import { exec } from '../../kit/exec.ts';
import { parseDevlinkPorts, parseSwitchIds, type RepresentorLookup } from './representors.ts';

/** Runs a program and answers its output; throws where it fails. */
export type RunProgram = (program: string, args: readonly string[], signal?: AbortSignal) => Promise<string>;

const run: RunProgram = async (program, args, signal) => {
  const { code, stdout, stderr } = await exec(program, args, { timeoutMs: 10_000, signal });
  if (code === 0) return stdout;
  throw new DpuError('hardware', `${program} failed`, { details: { code, says: stderr.trim().slice(0, 500) } });
};

/** The representors that devlink(8) knows of, in the daemon's network namespace. */
export function devlinkLookup(program: RunProgram = run): RepresentorLookup {
  return {
    async list(signal) {
      const [ports, links] = await Promise.all([
        program('devlink', ['-j', 'port', 'show'], signal),
        program('ip', ['-d', '-j', 'link', 'show'], signal),
      ]);
      return parseDevlinkPorts(ports, parseSwitchIds(links));
    },
  };
}
