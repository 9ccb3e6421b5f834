import { describe, expect, it } from 'vitest';
import {
  checkClock,
  checkExports,
  checkHttpImports,
  checkLength,
  checkMachinePaths,
  checkSwitchedOff,
} from './check-sources.ts';
import { isSource, projectFiles } from './project-files.ts';

const generated = (path: string): boolean => path.startsWith('schemas/generated/');
const product = (path: string): boolean =>
  /^(core|kit|packages|soc-daemon|drivers|platform-adapter|snic-controller|host-man)\//.test(path) &&
  isSource(path) &&
  !path.includes('/test/');
const isText = (path: string): boolean => !/\.(png|jpg|gif|ico|gz|tgz|bin|woff2?)$/.test(path);
const isTest = (path: string): boolean => /\.test\.ts$/.test(path);

describe('every source file', () => {
  it('has at most 400 lines, or a reason', () => {
    expect(checkLength(projectFiles((path) => isSource(path) && !generated(path)))).toEqual([]);
  });

  it('has a docstring on each exported name, and is no barrel', () => {
    expect(checkExports(projectFiles(product))).toEqual([]);
  });

  it('takes time and chance through ports where a simulation drives it', () => {
    expect(checkClock(projectFiles(product))).toEqual([]);
  });

  it('takes node:http without undici', () => {
    expect(checkHttpImports(projectFiles(product))).toEqual([]);
  });

  it('names no path of one machine', () => {
    expect(checkMachinePaths(projectFiles(isText))).toEqual([]);
  });

  it('switches no test off', () => {
    expect(checkSwitchedOff(projectFiles(isTest))).toEqual([]);
  });
});

describe('these checks find what they look for', () => {
  const one = (text: string, path = 'core/a.ts') => [{ path, text }];

  it('a file of 401 lines, and a reason that is not needed any more', () => {
    expect(checkLength(one('x\n'.repeat(401)), {})).toHaveLength(1);
    expect(checkLength(one('x\n'.repeat(401)), { 'core/a.ts': 'a table' })).toEqual([]);
    expect(checkLength(one('x\n'.repeat(400)), { 'core/a.ts': 'a table' })).toHaveLength(1);
  });

  it('node:http imported, and not its types', () => {
    expect(checkHttpImports(one("import { request } from 'node:http';\n"))).toHaveLength(1);
    expect(checkHttpImports(one("import {\n  type Agent,\n  request,\n} from 'node:http';\n"))).toHaveLength(1);
    expect(checkHttpImports(one("import type { Agent } from 'node:http';\n"))).toEqual([]);
  });

  it.each([
    'export const a = 1;',
    '/* no docstring */\nexport function a(): void {}',
    '/** Of b. */\nconst b = 1;\nexport interface A { readonly x: number }',
    '/** Of b. */\nconst b = 1;\nconst a = b;\nexport { a };',
    '/** Documented. */\nexport default class A {}',
    "export { a } from './b.ts';",
  ])('exports: %j', (text) => {
    expect(checkExports(one(text))).toHaveLength(1);
  });

  it.each([
    '/** Of a. */\nexport const a = 1;',
    '/** Of A. */\nexport const A = { x: 1 } as const;\nexport type A = keyof typeof A;',
    '/** Of a. */\nexport function a(x: string): void;\nexport function a(x: unknown): void { void x; }',
    '/** Of a. */\nconst a = 1;\nexport { a };',
  ])('and lets pass: %j', (text) => {
    expect(checkExports(one(text))).toEqual([]);
  });

  it.each([
    'setTimeout(() => {}, 1);',
    'const t = Date.now();',
    'const t = new Date();',
    'const t = globalThis.performance.now();',
    'const t = Math.random();',
    "import { setTimeout as sleep } from 'node:timers/promises';",
  ])('ambient time: %j', (text) => {
    expect(checkClock(one(text))).toHaveLength(1);
    expect(checkClock(one(text, 'kit/a.ts'))).toEqual([]);
    expect(checkClock(one('const d = new Date(clock.wallMs()); clock.setTimeout(1);'))).toEqual([]);
  });

  it('paths of one machine', () => {
    for (const name of ['work', 'root', 'tmp/w', 'home/someone']) {
      expect(checkMachinePaths(one(`cd "/${name}/x"`)), name).toHaveLength(1);
    }
    expect(checkMachinePaths(one('https://a.example/work/x net/work /tmp/where /rootfs'))).toEqual([]);
  });

  it.each(['only', 'skip', 'todo'])('a test with %s', (word) => {
    expect(checkSwitchedOff(one(`  it.${word}('x', () => {});`))).toHaveLength(1);
    expect(checkSwitchedOff(one('  it.skipIf(noCard)("x", () => {});'))).toEqual([]);
  });
});
