import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

const npmModule = join(import.meta.dirname, '../../tools/npm-packages.mjs');
const a = { version: '1.0.0', integrity: 'sha512-a' };
const other = { version: '2.0.0', integrity: 'sha512-b', optional: true };
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'setup-npm-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** What the set-up says about a lock and what is installed; undefined where it finds them equal. */
function difference(
  locked: object,
  installed: object | undefined,
  folders: readonly string[] = ['a'],
): string | undefined {
  for (const name of ['', ...folders]) mkdirSync(join(root, 'node_modules', name), { recursive: true });
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...locked } }));
  if (installed) writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages: installed }));
  const code = `const { npmDifference } = await import(${JSON.stringify(npmModule)});
    console.log(JSON.stringify({ answer: npmDifference(${JSON.stringify(root)}) }));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  return (JSON.parse(output) as { answer?: string }).answer;
}

it('is content when everything locked is there', () => {
  expect(difference({ 'node_modules/a': a }, { 'node_modules/a': a })).toBeUndefined();
});

it('does not miss optional packages, which npm leaves out on other platforms', () => {
  expect(difference({ 'node_modules/a': a, 'node_modules/b': other }, { 'node_modules/a': a })).toBeUndefined();
});

it.each([
  ['nothing is installed', { 'node_modules/a': a }, undefined, []],
  ['another version', { 'node_modules/a': a }, { 'node_modules/a': { ...a, version: '1.0.1' } }, ['a']],
  ['another content', { 'node_modules/a': a }, { 'node_modules/a': { ...a, integrity: 'sha512-x' } }, ['a']],
  ['a package that npm lists and somebody deleted', { 'node_modules/a': a }, { 'node_modules/a': a }, []],
  ['one package too few', { 'node_modules/a': a }, {}, ['a']],
  ['one package too many', {}, { 'node_modules/a': a }, ['a']],
  [
    'an optional package of another version',
    { 'node_modules/b': other },
    { 'node_modules/b': { ...other, version: '1.9.9' } },
    ['b'],
  ],
])('sees a difference: %s', (_what, locked, installed, folders) => {
  expect(difference(locked, installed, folders)).toBeTypeOf('string');
});
