import { readFileSync } from 'node:fs';
import { createClient } from './client.ts';
import type { Command, Context } from './command.ts';
import { commands } from './commands.ts';
import type { Terminal } from './console.ts';
import { CliError, type ExitCode, exitCode } from './exit-code.ts';
import { bashCompletion, helpText } from './help.ts';
import { card, document, type Format, table } from './output.ts';
import { type Parsed, parseArgs } from './parse.ts';

/** What a run of dpuctl sees of the process. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether stderr is a terminal, where a line may be overwritten. */
  readonly terminal: boolean;
  readonly signal: AbortSignal;
  /** What `console` talks to. */
  readonly console: Terminal;
}

const DEFAULT_SOCKET = '/run/dpu-compute/rest.sock';

const completion: Command = {
  words: ['completion', 'bash'],
  help: 'writes a completion script for bash',
  local: true,
  run: async (context) => {
    context.print(bashCompletion(all));
    return await Promise.resolve(exitCode.done);
  },
};
const all: readonly Command[] = [...commands, completion];

/** Runs one command line; resolves with the exit code and never rejects. */
export async function run(argv: readonly string[], around: Surroundings): Promise<ExitCode> {
  let lineOpen = false;
  const endLine = (): void => {
    if (lineOpen) around.stderr('\n');
    lineOpen = false;
  };
  try {
    const parsed = parseArgs(argv, all);
    if (parsed.options.has('version')) {
      around.stdout(`dpuctl ${version()}\n`);
      return exitCode.done;
    }
    if (parsed.options.has('help')) {
      around.stdout(
        `${helpText(parsed.words.slice(0, parsed.words.length - parsed.args.length || undefined), parsed.command, all)}\n`,
      );
      return exitCode.done;
    }
    if (parsed.command === undefined) {
      around.stderr(`${helpText(parsed.words, undefined, all)}\n`);
      return exitCode.usage;
    }
    const overwrite = around.terminal && !parsed.options.has('no-progress');
    const context = contextOf(
      parsed,
      around,
      (line) => {
        around.stderr(overwrite ? `\r\u001b[2K${line}` : `${line}\n`);
        lineOpen = overwrite;
      },
      endLine,
    );
    return await parsed.command.run(context);
  } catch (error) {
    endLine();
    if (around.signal.aborted) return exitCode.failed;
    around.stderr(`dpuctl: ${error instanceof CliError ? error.message : `internal error: ${String(error)}`}\n`);
    return error instanceof CliError ? error.exit : exitCode.failed;
  } finally {
    endLine();
  }
}

function contextOf(
  { args, options }: Parsed,
  around: Surroundings,
  progress: (line: string) => void,
  endLine: () => void,
): Context {
  const option = (name: string): string | undefined => options.get(name)?.[0];
  const format = (option('output') ?? 'table') as Format;
  const print = (text: string): void => {
    endLine();
    around.stdout(`${text}\n`);
  };
  const url = option('url');
  const tokenFile = option('token-file');
  const ca = option('ca');
  const target = {
    socket: option('socket') ?? around.env.DPUCTL_SOCKET ?? DEFAULT_SOCKET,
    ...(url === undefined ? {} : { url }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(ca === undefined ? {} : { ca }),
  };
  return {
    client: createClient(target),
    target,
    terminal: around.console,
    note: (text) => {
      endLine();
      around.stderr(`${text}\r\n`);
    },
    args,
    option,
    options: (name) => options.get(name) ?? [],
    has: (name) => options.has(name),
    format,
    print,
    showRows: (whole, rows, columns) => print(format === 'table' ? table(rows, columns) : document(whole, format)),
    showThing: (thing, shown = thing) => print(format === 'table' ? card(shown) : document(thing, format)),
    progress,
    signal: around.signal,
  };
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
