import { readFileSync } from 'node:fs';
import { endProcess, markedProcesses, type ProcessRecord, processNames, readProcess } from './process.ts';

/**
 * Ends what an `up` started that was killed before it wrote down what it had started: processes with the state directory's mark that no pid file tells
 * of, and that no recorded one is a parent of.
 */
export async function endStrays(stateDir: string): Promise<void> {
  const recorded = await Promise.all((await processNames(stateDir)).map((name) => readProcess(stateDir, name)));
  const known = new Set(recorded.flatMap((record) => (record === undefined ? [] : [record.pid])));
  const strays: ProcessRecord[] = (await markedProcesses(stateDir)).filter(({ pid }) => !hasKnownAncestor(pid, known));
  for (const stray of strays) await endProcess(stray);
}

function hasKnownAncestor(pid: number, known: ReadonlySet<number>): boolean {
  for (let each = pid; each > 1; each = parentOf(each)) {
    if (known.has(each)) return true;
  }
  return false;
}

function parentOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0; // it has ended: there is nothing to look for
  }
}
