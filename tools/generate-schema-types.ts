/** Makes `schemas/generated/*.ts` from `schemas/*.json`; with `--check` it fails where a generated file differs. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileFromFile } from 'json-schema-to-typescript';

const root = join(import.meta.dirname, '..');
const source = join(root, 'schemas');
const target = join(source, 'generated');
const check = process.argv.includes('--check');
let stale = 0;

const files = readdirSync(source).filter((name) => name.endsWith('.json') && name !== 'common.json');
for (const file of files) {
  const text = await compileFromFile(join(source, file), {
    cwd: source,
    bannerComment: `/** Generated from schemas/${file} by \`npm run schemas\`. Do not edit. */`,
    additionalProperties: false,
    enableConstEnums: false,
    unknownAny: true,
    style: { singleQuote: true, printWidth: 120 },
  });
  const path = join(target, file.replace(/\.json$/, '.ts'));
  if (!check) writeFileSync(path, text);
  else if (safeRead(path) !== text) {
    console.error(
      `schemas/generated/${file.replace(/\.json$/, '.ts')} does not match schemas/${file}: run \`npm run schemas\``,
    );
    stale += 1;
  }
}
const expected = new Set(files.map((name) => name.replace(/\.json$/, '.ts')));
for (const name of readdirSync(target)) {
  if (expected.has(name)) continue;
  console.error(`schemas/generated/${name} has no schema`);
  stale += 1;
}
process.exitCode = stale > 0 ? 1 : 0;

function safeRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // a file that is not there is a stale one
  }
}
