/** Makes what ships: `node tools/build.ts [DIRECTORY]`, `dist` unless told. Programs in it run without a TypeScript source. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
const target = resolve(root, process.argv[2] ?? 'dist');

/** Empties the directory, which must be one of ours. */
function clear(): void {
  if (existsSync(target) && !existsSync(join(target, 'soc-daemon')) && readdirSync(target).length > 0) {
    throw new Error(`${target} is not empty and is no earlier build: name another directory`);
  }
  rmSync(target, { recursive: true, force: true });
}

/** Programs, the schemas that they import, and package.json. */
function compile(): void {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', target], {
    cwd: root,
    stdio: 'inherit',
  });
}

/**
 * Lets the build find our own packages by name in itself. Without this a name leads through the workspace's link to the
 * package's source, which Node would strip of its types anew at every start, with some 25 MiB of compiler in memory.
 */
function linkPackages(): void {
  for (const folder of readdirSync(join(root, 'packages'))) {
    const source = join(root, 'packages', folder, 'package.json');
    const entry = join(target, 'packages', folder, 'src/index.js');
    if (!existsSync(source) || !existsSync(entry)) continue;
    const { name, version } = JSON.parse(readFileSync(source, 'utf8')) as { name: string; version: string };
    const directory = join(target, 'node_modules', name);
    mkdirSync(directory, { recursive: true });
    const manifest = { name, version, type: 'module', exports: './index.js' };
    writeFileSync(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    writeFileSync(join(directory, 'index.js'), `export * from '${relative(directory, entry)}';\n`);
  }
}

/** What browsers get as it is. */
function copyPages(): void {
  const folder = 'soc-daemon/api/page';
  cpSync(join(root, folder), join(target, folder), { recursive: true });
}

clear();
compile();
copyPages();
linkPackages();
