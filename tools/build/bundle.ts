import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type OutputChunk, type RolldownLog, rolldown } from 'rolldown';
import { toAscii } from './ascii.ts';
import { thirdPartyNotices } from './notices.ts';
import { fillPlaces, ownPlaces } from './places.ts';

/**
 * Stays outside: native code; what is read as a file; the tables of East Asian encodings, which nothing of ours asks for and which
 * would be a seventh of the daemon's text.
 */
const external = [/^better-sqlite3$/, /^@xterm\//, /iconv-lite\/encodings\/tables\//];

/** What a dependency tries to have and does without. */
const optional = /'?(bufferutil|utf-8-validate)'?/;

/**
 * Bundles programs into a directory: each at its own place with `.js`, what they share in `chunks/`, one line of code to a line and all
 * names as they are, so that a stack can be read. Source maps lie beside and are read by nobody unasked.
 * @throws Error for whatever the bundler warns of
 */
export async function bundle(root: string, target: string, sources: readonly string[]): Promise<void> {
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(sources.map((source) => [source.replace(/\.ts$/, ''), source])),
    platform: 'node',
    external,
    plugins: [ownPlaces(root)],
    onLog: complain,
  });
  const { output } = await build.generate({
    dir: target,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    sourcemap: true,
    comments: { legal: false, annotation: false, jsdoc: false },
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: false } },
  });
  await build.close();
  const chunks = output.filter((each) => each.type === 'chunk');
  for (const chunk of chunks) write(target, chunk);
  const modules = chunks.flatMap(({ moduleIds }) => moduleIds);
  writeFileSync(join(target, 'THIRD-PARTY'), thirdPartyNotices(modules));
}

function complain(level: string, log: RolldownLog): void {
  if (level !== 'warn' || optional.test(log.message)) return;
  throw new Error(log.message);
}

function write(target: string, { fileName, code, map }: OutputChunk): void {
  const file = join(target, fileName);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, toAscii(fillPlaces(code, fileName)));
  if (map) writeFileSync(`${file}.map`, JSON.stringify(map));
}
