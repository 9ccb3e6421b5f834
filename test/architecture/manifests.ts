import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifests } from './check-imports.ts';
import { ROOT } from './project-files.ts';

/** The parts of a package.json that the checks read. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** The manifests of the root (key `''`) and of each of our packages (key `packages/x`). */
export function readManifests(): Readonly<Record<string, Manifest>> {
  const folders = readdirSync(join(ROOT, 'packages')).map((name) => `packages/${name}`);
  const manifests: Record<string, Manifest> = {};
  for (const folder of ['', ...folders]) {
    const path = join(ROOT, folder, 'package.json');
    if (existsSync(path)) manifests[folder] = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  }
  return manifests;
}

/** What the import check wants to know of the manifests. */
export function importManifests(): Manifests {
  const manifests = readManifests();
  const packages = Object.entries(manifests).filter(([folder]) => folder !== '');
  const root = manifests[''];
  return {
    ours: Object.fromEntries(packages.map(([folder, manifest]) => [manifest.name, folder])),
    runtime: Object.keys(root?.dependencies ?? {}),
    all: Object.keys({ ...root?.dependencies, ...root?.devDependencies }),
    byPackage: Object.fromEntries(
      packages.map(([folder, manifest]) => [folder, Object.keys(manifest.dependencies ?? {})]),
    ),
  };
}
