import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The repository's root. */
export const ROOT = join(import.meta.dirname, '../..');

/** A file of the project: its path from the root, with `/`, and its text. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** All files that git tracks, or would track, and whose path `wanted` accepts. */
export function projectFiles(wanted: (path: string) => boolean): readonly ProjectFile[] {
  const argv = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const paths = execFileSync('git', argv, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 26 }).split('\0');
  return [...new Set(paths)]
    .filter((path) => path !== '' && wanted(path) && existsSync(join(ROOT, path)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/** Whether a path is a source file that Node or tsc reads. */
export function isSource(path: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(path);
}
