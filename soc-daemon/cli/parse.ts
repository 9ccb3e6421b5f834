import type { Command, Option } from './command.ts';
import { usage } from './exit-code.ts';

/** Options that every command takes. */
export const globalOptions: readonly Option[] = [
  {
    name: 'output',
    value: 'FORMAT',
    help: 'table (default), json or yaml; -o for short',
    choices: ['table', 'json', 'yaml'],
  },
  { name: 'socket', value: 'PATH', help: 'unix socket of the node (or DPUCTL_SOCKET)' },
  { name: 'url', value: 'URL', help: 'https address of the node instead of the socket' },
  { name: 'token-file', value: 'FILE', help: 'bearer token for --url' },
  { name: 'ca', value: 'FILE', help: 'certificate that --url is checked with' },
  { name: 'no-progress', help: 'plain lines instead of a progress line' },
  { name: 'help', help: 'shows what is possible' },
  { name: 'version', help: 'shows the version' },
];

/** A command line that was understood. */
export interface Parsed {
  /** undefined: no whole command was named; `words` are those that were. */
  readonly command: Command | undefined;
  readonly words: readonly string[];
  readonly args: readonly string[];
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** Reads a command line by the table. @throws CliError `usage`. */
export function parseArgs(argv: readonly string[], commands: readonly Command[]): Parsed {
  const known = new Map<string, Option>();
  for (const each of [...globalOptions, ...commands.flatMap((command) => command.options ?? [])]) {
    if (!known.has(each.name)) known.set(each.name, each);
  }
  const words: string[] = [];
  const options = new Map<string, string[]>();
  const rest = [...argv];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--') words.push(...rest.splice(0));
    else if (arg.startsWith('-') && arg !== '-') readOption(arg, rest, known, options);
    else words.push(arg);
  }
  const command = commands
    .filter((each) => each.words.every((word, index) => words[index] === word))
    .sort((a, b) => b.words.length - a.words.length)[0];
  const args = words.slice(command?.words.length ?? 0);
  if (command === undefined) checkPrefix(words, commands);
  else checkCommand(command, args, options);
  return { command, words, args, options };
}

function readOption(arg: string, rest: string[], known: Map<string, Option>, options: Map<string, string[]>): void {
  const long = arg
    .replace(/^-o=?/, '--output=')
    .replace(/^-h$/, '--help')
    .replace(/^--output=$/, '--output');
  const [, name = '', inline] = /^--([\w-]+)(?:=(.*))?$/s.exec(long) ?? [];
  const option = known.get(name);
  if (option === undefined) throw usage(`${arg} is not known`);
  if (option.value === undefined && inline !== undefined) throw usage(`--${name} takes no value`);
  const value = option.value === undefined ? '' : (inline ?? rest.shift());
  if (value === undefined) throw usage(`--${name} needs a value`);
  if (option.choices && !option.choices.includes(value))
    throw usage(`--${name} must be one of ${option.choices.join(', ')}`);
  options.set(name, [...(options.get(name) ?? []), value]);
}

function checkPrefix(words: readonly string[], commands: readonly Command[]): void {
  if (commands.some((each) => words.every((word, index) => each.words[index] === word))) return;
  throw usage(`${words.join(' ')} is not a command`);
}

function checkCommand(
  command: Command,
  args: readonly string[],
  options: ReadonlyMap<string, readonly string[]>,
): void {
  const taken = [...globalOptions, ...(command.options ?? [])];
  for (const [name, values] of options) {
    const option = taken.find((each) => each.name === name);
    if (option === undefined) throw usage(`${command.words.join(' ')} does not know --${name}`);
    if (values.length > 1 && option.value !== undefined && !option.many) throw usage(`--${name} is given twice`);
  }
  const names = command.args ?? [];
  const extra = args[names.length];
  if (extra !== undefined) throw usage(`${extra} is too much for ${command.words.join(' ')}`);
  const missing = names.slice(args.length).find((name) => !name.endsWith('?'));
  if (missing !== undefined && !options.has('help')) throw usage(`${missing.toUpperCase()} is missing`);
}
