/**
 * Draws the README's picture of the demo from the output of a real run: `node tools/demo-picture.ts [OUTPUT [RECORDING]]`. Runs `npm run demo` on a
 * terminal of script(1), unless it is given what script(1) recorded before.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chosen, linesOf, narrowed, svgOf } from './terminal-picture.ts';

const COLUMNS = 120;
/** What of the demo's output is drawn, by the headings: all of it is too long for a page. */
const SECTIONS = [
  'Broker, server with DPU',
  'The platform asks for',
  'Its serial console',
  'A second NIC',
  'What is left in the parts',
  'Everything ends',
];

const root = join(import.meta.dirname, '..');
const [output = join(root, 'docs/images/demo.svg'), recording] = process.argv.slice(2);

/** What the demo wrote to a terminal of 120 columns. */
function record(): string {
  const dir = mkdtempSync(join(tmpdir(), 'demo-picture-'));
  const file = join(dir, 'typescript');
  try {
    const command = `stty cols ${COLUMNS} rows 60; npm run --silent --no-progress demo`;
    execFileSync('script', ['--quiet', '--return', '--command', command, file], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 600_000,
    });
    return readFileSync(file, 'utf8');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

// without the lines that are script's own
const text = (recording === undefined ? record() : readFileSync(recording, 'utf8')).replaceAll(
  /^Script (started|done).*\n?/gm,
  '',
);
const prompt = [{ look: 'bold', text: '$ npm run demo' }] as const;
const drawn = narrowed(chosen(linesOf(text.trimEnd()), SECTIONS), COLUMNS);
const shown = [prompt, [], ...drawn.slice(0, drawn.findLastIndex((line) => line.length > 0) + 1)];
writeFileSync(output, svgOf(shown, 'npm run demo, as a terminal shows it'));
process.stdout.write(`${output}: ${shown.length} lines\n`);
