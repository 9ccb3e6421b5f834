/**
 * Makes the generated parts of the documents: what stands between `<!-- generated: NAME -->` and `<!-- end -->`. With
 * `--check` it writes nothing, and fails where a document differs from what it is made from.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateDiagram, transitionTable } from './docs/instance-states.ts';
import { configTable, failureTable, methodTable, snicConfigTable } from './docs/schema-tables.ts';

/** Document -> its generated parts. */
export const GENERATED: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  'docs/instance-states.md': { 'state diagram': stateDiagram, transitions: transitionTable },
  'docs/operator.md': { settings: configTable },
  'docs/snic-controller.md': { settings: snicConfigTable },
  'docs/platform-integrator.md': { methods: methodTable, failures: failureTable },
};

/** The document with its generated parts as they should be. @throws Error for a part that the document has no place for */
export function renewed(text: string, parts: Readonly<Record<string, () => string>>): string {
  let result = text;
  for (const [name, make] of Object.entries(parts)) {
    const begin = `<!-- generated: ${name} -->`;
    const from = result.indexOf(begin);
    const to = result.indexOf('<!-- end -->', from);
    if (from === -1 || to === -1) throw new Error(`no place for the generated part: ${name}`);
    result = `${result.slice(0, from)}${begin}\n\n${make()}\n\n${result.slice(to)}`;
  }
  return result;
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  for (const [path, parts] of Object.entries(GENERATED)) {
    const text = readFileSync(join(root, path), 'utf8');
    const fresh = renewed(text, parts);
    if (fresh === text) continue;
    if (process.argv.includes('--check')) {
      console.error(`${path} is not what it is made from: run \`node tools/generate-diagrams.ts\``);
      process.exitCode = 1;
    } else writeFileSync(join(root, path), fresh);
  }
}
