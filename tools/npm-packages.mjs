/** The npm packages: whether node_modules is what package-lock.json says, and making it so. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The major version of Node that runs everything but the bootstrap; the lock pins the exact one. */
export const NODE_MAJOR = 24;

/**
 * Compares package-lock.json with node_modules and the list that npm keeps in it. Returns the first difference in words,
 * or undefined when they agree. Optional packages may be absent: npm leaves out those of other platforms.
 */
export function npmDifference(root) {
  const installed = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  if (!installed) return 'not installed yet';
  const locked = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  for (const [path, entry] of Object.entries(locked)) {
    if (!path.includes('node_modules/')) continue;
    const present = installed[path];
    if (present === undefined && (entry.optional || entry.devOptional)) continue;
    const same = present && present.version === entry.version && present.integrity === entry.integrity;
    if (!same || !existsSync(join(root, path))) return `${path.replace(/^node_modules\//, '')} differs from the lock`;
  }
  const extra = Object.keys(installed).find((path) => path.includes('node_modules/') && !(path in locked));
  return extra === undefined ? undefined : `${extra.replace(/^node_modules\//, '')} is not in the lock`;
}

/** Runs `npm ci` in `root`; returns its exit status. npm's own output goes to the terminal. */
export function npmCi(root) {
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--loglevel=error'];
  const script = process.env.npm_execpath;
  const [command, first] = script?.endsWith('.js') ? [process.execPath, [script]] : ['npm', []];
  return spawnSync(command, [...first, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status ?? 1;
}

/** The version of the Node that the npm packages bring (`24.20.0`), or undefined when it is absent or does not run. */
export function bundledNodeVersion(root) {
  const run = spawnSync(bundledNode(root), ['--version'], { encoding: 'utf8' });
  return run.status === 0 ? run.stdout.trim().replace(/^v/, '') : undefined;
}

/** Where the Node of the npm packages is. */
export function bundledNode(root) {
  return join(root, 'node_modules/.bin/node');
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined; // as good as absent: npm ci mends it
    throw error;
  }
}
