import { parseArgs } from 'node:util';
import { toDpuError } from '../core/errors.ts';
import type { Log } from '../core/ports/log.ts';
import { collectGarbage } from './garbage.ts';
import { createLog } from './log.ts';
import { createNotifier } from './sd-notify.ts';

/** Newest Node that the native parts were built for; better-sqlite3 crashes on older ones instead of refusing. */
const leastNode = 24;

/** From being ready until what only the start needed is given back: peers have been asked by then. */
export const settledMs = 5000;

/** A program of this project: `NAME --config FILE [--check-config]`. */
export interface ProgramSpec<Config> {
  readonly name: string;
  readonly version: string;
  /** Reads and checks the configuration. @throws DpuError with file and line. */
  load(
    file: string,
  ): Config & { readonly file: string; readonly log: { readonly level: Parameters<typeof createLog>[0] } };
  /** What a start by this user would miss, for `--check-config`. */
  notes?(config: Config): readonly string[];
  /** Starts it; ready when it resolves. */
  start(config: Config, log: Log): Promise<{ stop(): Promise<void> }>;
}

/**
 * Runs a program until SIGTERM or SIGINT, then stops it in good order; tells systemd when it is ready and when it stops. Sets the exit
 * status: 0 stopped or answered, 1 failed, 2 usage. What is under way is journaled, so an inner error ends it at once.
 */
export async function runProgram<Config>(spec: ProgramSpec<Config>): Promise<void> {
  const { name } = spec;
  if (Number(process.versions.node.split('.')[0]) < leastNode) {
    console.error(`${name} needs Node ${leastNode} or later; this is ${process.version}`);
    process.exit(1);
  }
  try {
    process.exitCode = await answer(spec);
  } catch (thrown) {
    const error = toDpuError(thrown, thrown instanceof Error ? thrown.message : 'starting failed');
    console.error(`${name}: ${error.message}`);
    process.exit(1);
  }
}

async function answer<Config>(spec: ProgramSpec<Config>): Promise<number> {
  const { name, version } = spec;
  const usage = `usage: ${name} --config FILE [--check-config]\n       ${name} --version`;
  const values = readOptions();
  if (typeof values === 'string') {
    console.error(`${name}: ${values}\n${usage}`);
    return 2;
  }
  if (values.version || values.help) {
    console.log(values.version ? version : usage);
    return 0;
  }
  if (values.config === undefined) {
    console.error(usage);
    return 2;
  }
  const config = spec.load(values.config);
  if (!values['check-config']) return await serve(spec, config, createLog(config.log.level, name));
  console.log(`${config.file}: valid`);
  for (const note of spec.notes?.(config) ?? []) console.error(`note: ${note}`);
  return 0;
}

/** The command line; a text says what is wrong with it. */
function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string' },
        'check-config': { type: 'boolean' },
        version: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
    return values;
  } catch (error) {
    return (error as Error).message; // what parseArgs throws are the words for the user
  }
}

async function serve<Config>({ name, start }: ProgramSpec<Config>, config: Config, log: Log): Promise<number> {
  process.on('uncaughtException', (error) => {
    log.error(`${name} ends on an inner error and goes on at its next start`, { error });
    process.exit(1);
  });
  const notifier = createNotifier(log);
  const stopRequested = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
  const running = await start(config, log);
  notifier.ready();
  setTimeout(collectGarbage, settledMs).unref();
  const signal = await stopRequested;
  log.info(`${name} stops`, { signal });
  notifier.stopping();
  await running.stop();
  log.info(`${name} has stopped; what was under way goes on at the next start`);
  return 0;
}
