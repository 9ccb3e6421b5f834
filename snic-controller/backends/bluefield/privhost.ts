import type { Program } from './run.ts';

/** Whether `mlxprivhost -d DEVICE q` says that the host is kept away from the card's configuration; null where it can't be told. */
export async function hostRestricted(
  program: Program,
  mstDevice: string | null,
  signal?: AbortSignal,
): Promise<boolean | null> {
  if (mstDevice === null) return null;
  try {
    return readPrivilege(await program.run('mlxprivhost could not be asked', ['-d', mstDevice, 'q'], { signal }));
  } catch {
    signal?.throwIfAborted();
    return null; // nothing else hangs on it, and not to know it is an answer
  }
}

/** Reads the level out of its answer. */
export function readPrivilege(text: string): boolean | null {
  const level = /^[ \t]*level[ \t]*:[ \t]*(\w+)/im.exec(text)?.[1]?.toUpperCase();
  if (level === 'RESTRICTED') return true;
  return level === 'PRIVILEGED' ? false : null;
}
