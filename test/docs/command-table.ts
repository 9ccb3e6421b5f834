import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCommand } from '../../virtual-dpu/cli.ts';
import { ROOT } from '../architecture/project-files.ts';

/** How one kind of command in the documents is checked. `check` resolves with what is wrong, or with nothing. */
export interface CommandRule {
  /** The words that the command begins with. */
  readonly words: readonly string[];
  /** What the check does, or why there is nothing to check. */
  readonly how: string;
  readonly check: (args: readonly string[]) => Promise<string | undefined>;
}

/** npm scripts whose flags the documents may name: the file that answers `--help` with all of them. */
const HELP_OF_SCRIPT: Readonly<Record<string, string>> = {
  demo: 'tools/demo.ts',
  'test:sim': 'test/sim/run.ts',
};

/** The program behind `dpuctl`: it must answer `--help` after any known words, and exit with 2 after unknown ones. */
const DPUCTL = 'soc-daemon/cli/main.ts';
const DAEMON = 'soc-daemon/main.ts';

/** Programs whose options another file reads. */
const OPTIONS_OF_FILE: Readonly<Record<string, string>> = {
  [DAEMON]: 'kit/program.ts',
  'snic-controller/main.ts': 'kit/program.ts',
};

const nothing = (): Promise<undefined> => Promise.resolve(undefined);

/** The table: the rule with the most words that match decides; a command that none matches fails the test. Extend it here. */
export const COMMAND_TABLE: readonly CommandRule[] = [
  { words: ['git', 'clone'], how: 'the reader has the address', check: nothing },
  { words: ['sleep'], how: 'waits', check: nothing },
  { words: ['cd'], how: 'where the reader has the clone', check: nothing },
  { words: ['kill'], how: 'a process of the reader; the crash suite does it', check: nothing },
  { words: ['npm', 'ci'], how: 'the set-up runs it', check: nothing },
  { words: ['npm', 'test'], how: 'CI runs it; the paths must exist', check: checkTestArguments },
  { words: ['npx', 'virtual-dpu'], how: "virtual-dpu's own parser", check: checkVirtualDpu },
  { words: ['npm', 'run'], how: 'the script and its flags must exist; CI runs the demo', check: checkScript },
  { words: ['openstack'], how: 'stock client; the suites on OpenStack ask the same of the API', check: nothing },
  { words: ['.ci/run'], how: 'CI is this file', check: checkOwnFile('.ci/run') },
  { words: ['curl'], how: 'the route table must have the path', check: checkCurl },
  { words: ['node_modules/.bin/node'], how: 'as node', check: checkNodeFile },
  {
    words: ['node'],
    how: 'the file must exist and parse; its options must be in its text, or in that of who reads them',
    check: checkNodeFile,
  },
  { words: ['dpuctl'], how: "dpuctl's own parser, with --help added", check: checkDpuctl },
  { words: ['soc-daemon', '--check-config'], how: 'runs on the example it names', check: checkConfig },
];

/** Checks one simple command; resolves with what is wrong, or with nothing. */
export async function checkCommand(argv: readonly string[], table = COMMAND_TABLE): Promise<string | undefined> {
  const words = argv.slice(argv.findIndex((word) => !/^\w+=/.test(word)));
  const matching = table.filter((rule) => rule.words.every((word, index) => words[index] === word));
  const rule = matching.sort((a, b) => b.words.length - a.words.length)[0];
  if (!rule) return `no rule in test/docs/command-table.ts says how \`${words.join(' ')}\` is checked`;
  return await rule.check(words.slice(rule.words.length));
}

async function checkVirtualDpu(args: readonly string[]): Promise<string | undefined> {
  try {
    parseCommand(args);
    return await Promise.resolve(undefined);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function checkTestArguments(args: readonly string[]): Promise<string | undefined> {
  const paths = afterDashes(args).filter((arg) => !arg.startsWith('-'));
  return await Promise.resolve(
    paths.filter((path) => !existsSync(join(ROOT, path))).map((path) => `${path} does not exist`)[0],
  );
}

async function checkScript(args: readonly string[]): Promise<string | undefined> {
  const [script = ''] = args;
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  if (!manifest.scripts[script]) return `package.json has no script ${script}`;
  const flags = afterDashes(args).filter((arg) => arg.startsWith('-'));
  if (flags.length === 0) return undefined;
  const program = HELP_OF_SCRIPT[script];
  if (program === undefined) return `HELP_OF_SCRIPT does not say which program knows the flags of ${script}`;
  const help = await runNode(program, ['--help']);
  if (help.status !== 0) return `${program} --help exits with ${help.status}`;
  return missingFlag(flags, help.output, program);
}

async function checkNodeFile(args: readonly string[]): Promise<string | undefined> {
  const [file = '', ...rest] = args;
  if (!existsSync(join(ROOT, file))) return `${file} does not exist`;
  const parsed = await runNode('--check', [file]);
  if (parsed.status !== 0) return `${file} does not parse`;
  const flags = rest.filter((arg) => arg.startsWith('--'));
  return missingFlag(flags, readFileSync(join(ROOT, OPTIONS_OF_FILE[file] ?? file), 'utf8'), file);
}

async function checkCurl(args: readonly string[]): Promise<string | undefined> {
  const url = args.find((arg) => /^https?:/.test(arg));
  if (url === undefined) return 'no URL';
  const routes = readFileSync(join(ROOT, 'soc-daemon/api/routes.ts'), 'utf8');
  const { pathname } = new URL(url);
  return await Promise.resolve(routes.includes(`'${pathname}'`) ? undefined : `there is no route ${pathname}`);
}

async function checkDpuctl(args: readonly string[]): Promise<string | undefined> {
  const { status, output } = await runNode(DPUCTL, [...args, '--help']);
  return status === 0 ? undefined : `dpuctl does not understand it (exit ${status}): ${output.trim().split('\n')[0]}`;
}

async function checkConfig(args: readonly string[]): Promise<string | undefined> {
  const { status, output } = await runNode(DAEMON, ['--check-config', ...args]);
  return status === 0 ? undefined : `exit ${status}: ${output.trim().split('\n')[0]}`;
}

function checkOwnFile(path: string): CommandRule['check'] {
  return () => Promise.resolve(existsSync(join(ROOT, path)) ? undefined : `${path} does not exist`);
}

function missingFlag(flags: readonly string[], text: string, where: string): string | undefined {
  const names = flags.map((flag) => flag.replace(/=.*/, ''));
  const missing = names.find((name) => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(text));
  return missing === undefined ? undefined : `${where} does not know ${missing}`;
}

function afterDashes(args: readonly string[]): readonly string[] {
  const dashes = args.indexOf('--');
  return dashes === -1 ? [] : args.slice(dashes + 1);
}

async function runNode(file: string, args: readonly string[]): Promise<{ status: number; output: string }> {
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [file, ...args],
      { cwd: ROOT, timeout: 20_000, encoding: 'utf8' },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ status, output: `${stdout}${stderr}` });
      },
    );
  });
}
