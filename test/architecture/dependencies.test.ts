import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Manifest, readManifests } from './manifests.ts';
import { ROOT } from './project-files.ts';

const manifests = readManifests();
const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<
    Record<string, { readonly version?: string; readonly resolved?: string; readonly link?: boolean }>
  >;
};

/** All dependencies of a manifest, of every kind, as `[name, version]`. */
function dependencies(manifest: Manifest): readonly (readonly [string, string])[] {
  const { dependencies: runtime, devDependencies, optionalDependencies, peerDependencies } = manifest;
  return Object.entries({ ...runtime, ...devDependencies, ...optionalDependencies, ...peerDependencies });
}

/** What does not agree between manifests and the rows of docs/dependencies.md. */
function compareWithDoc(found: Readonly<Record<string, Manifest>>, doc: string): readonly string[] {
  const rows = new Map(
    [...doc.matchAll(/^\| `([^`]+)` \| (\S+) \| (.+?) \| (.+?) \|$/gm)].map((match) => [match[1], match[2]]),
  );
  const wanted = new Map(Object.values(found).flatMap(dependencies));
  return [
    ...[...wanted]
      .filter(([name, version]) => rows.get(name) !== version)
      .map(([name, version]) => `${name} ${version} has no row`),
    ...[...rows.keys()].filter((name) => !wanted.has(name ?? '')).map((name) => `the row ${name} has no dependency`),
  ];
}

/** Versions that are not exact. */
function looseVersions(found: Readonly<Record<string, Manifest>>): readonly string[] {
  return Object.entries(found).flatMap(([folder, manifest]) =>
    dependencies(manifest)
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${folder || '.'}: ${name} ${version}`),
  );
}

describe('dependencies', () => {
  it('have exact versions', () => {
    expect(looseVersions(manifests)).toEqual([]);
    expect(
      looseVersions({ '': { name: 'x', version: '1.0.0', dependencies: { a: '^1.0.0', b: '1.0.0', c: '1' } } }),
    ).toHaveLength(2);
  });

  it('have a row in docs/dependencies.md, and rows have a dependency', () => {
    const doc = readFileSync(join(ROOT, 'docs/dependencies.md'), 'utf8');
    expect(compareWithDoc(manifests, doc)).toEqual([]);
    const planted = { '': { name: 'x', version: '1.0.0', dependencies: { a: '1.0.0', b: '1.0.0' } } };
    expect(compareWithDoc(planted, '| `a` | 1.0.1 | why | weighed |\n| `c` | 1.0.0 | why | weighed |')).toHaveLength(3);
  });

  it('are locked at the version that is asked for', () => {
    const unlike = Object.values(manifests)
      .flatMap(dependencies)
      .filter(([name, version]) => {
        const entry = lock.packages[`node_modules/${name}`];
        const locked = entry?.link ? lock.packages[entry.resolved ?? ''] : entry;
        return locked?.version !== version;
      });
    expect(unlike).toEqual([]);
  });

  it('are locked without the address of a registry: any mirror serves', () => {
    const addresses = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined && !entry.link);
    expect(addresses).toEqual([]);
  });
});
