import { createHash } from 'node:crypto';
import { hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';

/** What happened in a seed, line by line. */
export interface Trace {
  add(line: string): void;
  readonly lines: readonly string[];
  /** Same seed, same hash. */
  hash(): string;
  /** A log of the daemon that goes into the trace. */
  readonly log: Log;
}

/** An empty trace; `echo` gets every line as it is added. */
export function createTrace(clock: Clock, echo?: (line: string) => void): Trace {
  const digest = createHash('sha256');
  const lines: string[] = [];
  const add = (text: string): void => {
    const line = `${String(clock.monotonicMs()).padStart(9)} ${text}`;
    digest.update(line).update('\n');
    lines.push(line);
    echo?.(line);
  };
  const logOf = (base: LogFields): Log => {
    const write =
      (level: string) =>
      (message: string, fields: LogFields = {}): void =>
        add(`    ${level} ${message} ${fieldsText({ ...base, ...fields })}`);
    return {
      debug: () => {},
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (fields) => logOf({ ...base, ...fields }),
    };
  };
  return { add, lines, hash: () => digest.copy().digest('hex').slice(0, 16), log: logOf({}) };
}

function fieldsText(fields: LogFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value instanceof Error ? errorText(value) : shown(value)}`)
    .join(' ');
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

/** An error in one line. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? `${String(error.code)}: ` : '';
  const hint = hasCode(error, 'internal') && error.cause instanceof Error ? ` <- ${error.cause.message}` : '';
  return `${code}${error.message}${hint}`;
}
