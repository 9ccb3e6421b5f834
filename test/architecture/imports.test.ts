import { describe, expect, it } from 'vitest';
import { checkImports } from './check-imports.ts';
import { importManifests } from './manifests.ts';
import { isSource, projectFiles } from './project-files.ts';

const manifests = {
  ours: { 'oslo-messaging': 'packages/oslo-messaging', 'ovsdb-client': 'packages/ovsdb-client' },
  runtime: ['ajv', 'express', 'better-sqlite3', 'oslo-messaging'],
  all: ['ajv', 'express', 'better-sqlite3', 'oslo-messaging', 'vitest', 'fast-check'],
  byPackage: { 'packages/oslo-messaging': ['amqplib'] },
};

/** The violations of one planted file. */
function planted(path: string, text: string): readonly string[] {
  return checkImports([{ path, text }], manifests);
}

describe('the import table', () => {
  it('holds in every source file', () => {
    const files = projectFiles(isSource);
    expect(files.length).toBeGreaterThan(20);
    expect(checkImports(files, importManifests())).toEqual([]);
  });

  it.each([
    ['core imports kit', 'core/a.ts', "import { x } from '../kit/log.ts';"],
    ['core imports an npm package', 'core/a.ts', "import type { Ajv } from 'ajv';"],
    ['core imports values of schemas', 'core/a.ts', "import { x } from '../schemas/generated/rpc.ts';"],
    ['core imports in a type', 'core/ports/a.ts', "export type A = import('../../kit/log.ts').Log;"],
    ['core re-exports kit', 'core/a.ts', "export * from '../kit/log.ts';"],
    ['core imports dynamically', 'core/a.ts', "const x = await import('../kit/log.ts');"],
    ['core requires', 'core/a.ts', "const x = require('ajv');"],
    ['core starts a worker elsewhere', 'core/a.ts', "new Worker(new URL('../kit/w.ts', import.meta.url));"],
    ['an import that is hidden from tables', 'kit/a.ts', 'const x = await import(name);'],
    ['kit imports the daemon', 'kit/a.ts', "import '../soc-daemon/store/x.ts';"],
    ['siblings', 'drivers/bm/a.ts', "import type { X } from '../sim/x.ts';"],
    ['sibling adapters', 'platform-adapter/amqp/a.ts', "import type { X } from '../openstack/x.ts';"],
    ['a driver imports the service', 'drivers/bm/a.ts', "import { x } from '../../soc-daemon/service/x.ts';"],
    ['service imports store', 'soc-daemon/service/a.ts', "import { x } from '../store/x.ts';"],
    ['api imports store', 'soc-daemon/api/a.ts', "import { x } from '../store/x.ts';"],
    ['cli imports core', 'soc-daemon/cli/a.ts', "import { x } from '../../core/units.ts';"],
    ['cli imports express', 'soc-daemon/cli/a.ts', "import express from 'express';"],
    ['a package imports core', 'packages/oslo-messaging/src/a.ts', "import { x } from '../../../core/errors.ts';"],
    ['a package imports another', 'packages/oslo-messaging/src/a.ts', "import { x } from 'ovsdb-client';"],
    ['a package imports what it does not declare', 'packages/oslo-messaging/src/a.ts', "import { x } from 'ajv';"],
    ['a package imports vitest outside its tests', 'packages/oslo-messaging/src/a.ts', "import { x } from 'vitest';"],
    [
      'a package by path',
      'platform-adapter/amqp/a.ts',
      "import { x } from '../../packages/oslo-messaging/src/index.ts';",
    ],
    ['a package that is not for this folder', 'drivers/network/a.ts', "import { x } from 'oslo-messaging';"],
    ['a module of Node without its prefix', 'core/a.ts', "import { x } from 'fs';"],
    ['an undeclared package', 'tools/a.ts', "import { x } from 'left-pad';"],
    ['a development package in a program', 'soc-daemon/main.ts', "import { x } from 'vitest';"],
    ['a composition root is imported', 'soc-daemon/api/a.ts', "import { x } from '../main.ts';"],
    ['product code imports a test', 'drivers/sim/a.ts', "import { x } from '../../test/support/x.ts';"],
    ['product code leaves the repository', 'tools/a.ts', "import { x } from '../../elsewhere.ts';"],
    ['a new folder', 'helpers/a.ts', 'export {};'],
    ['a new folder in the daemon', 'soc-daemon/util/a.ts', 'export {};'],
    ['a loose file', 'soc-daemon/a.ts', 'export {};'],
    ['JavaScript outside tools', 'kit/a.js', 'export {};'],
  ])('finds: %s', (_what, path, text) => {
    expect(planted(path, text)).toHaveLength(1);
  });

  it.each([
    ['core imports schema types', 'core/a.ts', "import type { X } from '../schemas/generated/rpc.ts';"],
    [
      'core imports itself and node:',
      'core/a.ts',
      "import { x } from './ports/x.ts';\nimport { y } from 'node:crypto';",
    ],
    ['a comment and a string', 'core/a.ts', "// import '../kit/x.ts'\nconst s = \"import '../kit/x.ts'\";"],
    [
      'the composition root',
      'soc-daemon/main.ts',
      "import { x } from './store/x.ts';\nimport { y } from '../drivers/sim/y.ts';",
    ],
    ['an adapter and its package', 'platform-adapter/amqp/a.ts', "import { x } from 'oslo-messaging';"],
    [
      "a package's own test",
      'packages/oslo-messaging/test/a.test.ts',
      "import { x } from 'vitest';\nimport '../src/a.ts';",
    ],
    ['a composition root of two files', 'soc-daemon/main.ts', "import { x } from './peers.ts';"],
    ['a test sees everything', 'test/unit/a.test.ts', "import '../../soc-daemon/main.ts';\nimport 'fast-check';"],
  ])('lets pass: %s', (_what, path, text) => {
    expect(planted(path, text)).toEqual([]);
  });
});
