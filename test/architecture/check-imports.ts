import { posix } from 'node:path';
import type { ProjectFile } from './project-files.ts';
import {
  BOOTSTRAPS,
  BROWSER_FOLDER,
  COMPOSITION_ROOTS,
  LOOSE_FILES,
  PACKAGE_TEST_NPM,
  PACKAGE_TEST_ZONES,
  ZONES,
  type ZoneRule,
} from './rules.ts';
import { type ImportOf, parseSource } from './source-file.ts';

/** Names of our packages -> their folder, and the npm packages that a manifest declares. */
export interface Manifests {
  readonly ours: Readonly<Record<string, string>>;
  readonly runtime: readonly string[];
  readonly all: readonly string[];
  /** Folder of one of our packages -> the dependencies of its own manifest. */
  readonly byPackage: Readonly<Record<string, readonly string[]>>;
}

/** Checks sources against the import table. Each answer is one violation, `path:line: what`. */
export function checkImports(files: readonly ProjectFile[], manifests: Manifests): readonly string[] {
  return files.flatMap((file) => checkFile(file, manifests));
}

/** The zone of a path: the longest folder of the table that contains it. */
export function zoneOf(path: string): string | undefined {
  const zones = Object.keys(ZONES).filter((zone) => path.startsWith(`${zone}/`));
  return zones.sort((a, b) => b.length - a.length)[0];
}

function checkFile(file: ProjectFile, manifests: Manifests): readonly string[] {
  if (LOOSE_FILES.includes(file.path)) return [];
  const isRoot = COMPOSITION_ROOTS.includes(file.path);
  const zone = zoneOf(file.path);
  const rule = isRoot ? { zones: ['*'], npm: ['*'] } : ZONES[zone ?? ''];
  if (!rule) return [`${file.path}: lies in no folder of the import table (test/architecture/rules.ts)`];
  if (file.path.startsWith(BROWSER_FOLDER)) return [];
  if (BOOTSTRAPS.includes(file.path)) return [];
  if (zone !== 'tools' && !file.path.endsWith('.ts')) return [`${file.path}: plain JavaScript belongs to tools/ only`];
  const free = zone === 'test' || zone === 'tools';
  return parseSource(file.text, file.path).imports.flatMap((each) => {
    const problem =
      each.target === undefined
        ? free
          ? undefined
          : 'imports what is not a literal'
        : judge(file.path, zone, rule, each, each.target, manifests);
    return problem === undefined ? [] : [`${file.path}:${each.line}: ${problem}`];
  });
}

function judge(
  path: string,
  zone: string | undefined,
  rule: ZoneRule,
  imported: ImportOf,
  target: string,
  manifests: Manifests,
): string | undefined {
  if (target.startsWith('node:')) return undefined;
  if (target.startsWith('.')) {
    const file = posix.join(posix.dirname(path), target);
    return judgeFile(path, zone, rule, imported, file);
  }
  const name = target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
  const folder = manifests.ours[name];
  if (folder !== undefined) {
    return folder === zone || allows(rule, folder, imported) ? undefined : `${zone ?? path} may not import ${folder}`;
  }
  return judgeNpm(path, zone, rule, name, manifests);
}

function judgeFile(
  path: string,
  zone: string | undefined,
  rule: ZoneRule,
  imported: ImportOf,
  file: string,
): string | undefined {
  const from = zone ?? path;
  const together = COMPOSITION_ROOTS.includes(path) && posix.dirname(path) === posix.dirname(file);
  if (zone !== 'test' && COMPOSITION_ROOTS.includes(file) && !together)
    return `${file} puts a program together: only tests may import it`;
  const to = zoneOf(file);
  if (to === undefined) {
    const fine = rule.zones.includes('*') && !file.startsWith('../');
    return fine ? undefined : `${from} may not import ${file}`;
  }
  if (to === zone) return undefined;
  if (zone?.startsWith('packages/') && path.startsWith(`${zone}/test/`) && PACKAGE_TEST_ZONES.includes(to)) {
    return undefined;
  }
  if (to.startsWith('packages/') && zone !== 'test') return `import ${to} by its name`;
  return allows(rule, to, imported)
    ? undefined
    : `${from} may not import ${to}${imported.typeOnly ? '' : ' (or only its types)'}`;
}

function allows(rule: ZoneRule, to: string, imported: ImportOf): boolean {
  if (rule.zones.includes('*') || rule.zones.includes(to)) return true;
  return imported.typeOnly && rule.zones.includes(`type:${to}`);
}

function judgeNpm(
  path: string,
  zone: string | undefined,
  rule: ZoneRule,
  name: string,
  manifests: Manifests,
): string | undefined {
  const inPackage = zone?.startsWith('packages/') ?? false;
  if (inPackage && path.startsWith(`${zone}/test/`) && PACKAGE_TEST_NPM.includes(name)) return undefined;
  const test = zone === 'test' || zone === 'tools';
  const declared = inPackage ? (manifests.byPackage[zone ?? ''] ?? []) : test ? manifests.all : manifests.runtime;
  if (!declared.includes(name)) return `${name} is not a declared dependency here`;
  return rule.npm.includes('*') || rule.npm.includes(name)
    ? undefined
    : `${zone ?? path} may not import the npm package ${name}`;
}
