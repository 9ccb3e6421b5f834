/** Makes what ships: `node tools/build.ts [DIRECTORY]`, `dist` unless told. Programs in it run without a TypeScript source. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bundle } from './build/bundle.ts';
import { programs } from './build/programs.ts';

const root = join(import.meta.dirname, '..');
const target = resolve(root, process.argv[2] ?? 'dist');

/** What programs read as files: pages for browsers, scripts for guests; schemas, which peers read too. */
const files = ['package.json', 'schemas', 'soc-daemon/api/page', 'virtual-dpu/image/guest'];

/** Empties the directory, which must be one of ours. */
function clear(): void {
  if (existsSync(target) && !existsSync(join(target, 'soc-daemon')) && readdirSync(target).length > 0) {
    throw new Error(`${target} is not empty and is no earlier build: name another directory`);
  }
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
}

/** No types: `schemas` has generated ones. */
function copyFiles(): void {
  for (const file of files) {
    cpSync(join(root, file), join(target, file), { recursive: true, filter: (from) => !/generated$|\.ts$/.test(from) });
  }
}

clear();
await bundle(root, target, programs(root));
copyFiles();
