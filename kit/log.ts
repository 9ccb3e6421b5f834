import { destination, type Logger, pino } from 'pino';
import { DpuError } from '../core/errors.ts';
import type { Log, LogFields } from '../core/ports/log.ts';

/** Names of fields that are never written, wherever they stand. */
const secretName = /(?:password|passwd|(?:^|_)pass|token|secret|userdata|connection_info|transport_url)$/i;
const censored = '[redacted]';

/** How deep fields are written; no message of ours goes as far. */
const maxDepth = 12;

/** How far down a chain of causes is told. */
const maxCauses = 8;

/** A log of one JSON line an event, on the standard error stream. */
export function createLog(level: 'debug' | 'info' | 'warn' | 'error', service: string, fd = 2): Log {
  const logger = pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    destination({ dest: fd, sync: true }),
  );
  return wrap(logger);
}

function wrap(logger: Logger): Log {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      if (logger.isLevelEnabled(level)) logger[level](shown(fields), message);
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => wrap(logger.child(shown(fields))),
  };
}

/** Fields without secrets, and with errors in a form that says each message of the chain once. */
function shown(fields: LogFields): Record<string, unknown> {
  return shownRecord(fields, []);
}

function shownRecord(record: object, above: readonly object[]): Record<string, unknown> {
  const within = [...above, record];
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [
      name,
      secretName.test(name) && value !== null && value !== undefined ? censored : shownValue(value, within),
    ]),
  );
}

function shownValue(value: unknown, above: readonly object[]): unknown {
  if (typeof value === 'string') return withoutSecrets(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return shownError(value);
  if (above.includes(value) || above.length >= maxDepth) return '[...]';
  if (Array.isArray(value)) return value.map((each) => shownValue(each, [...above, value]));
  if ('toJSON' in value && typeof value.toJSON === 'function') return shownValue(value.toJSON(), [...above, value]);
  return shownRecord(value, above);
}

/** A URL's user and password, wherever a lower error repeats the URL. */
const userInfo = /(:\/\/)[^\s/@]+@/g;

function shownError(error: Error): Record<string, unknown> {
  const message = withoutSecrets(error.message);
  const said = new Set([message]);
  let cause = error.cause;
  for (let depth = 0; depth < maxCauses && cause instanceof Error; depth += 1) {
    said.add(withoutSecrets(cause.message));
    cause = cause.cause;
  }
  const [, ...causes] = said;
  const code = codeOf(error);
  return {
    ...(error instanceof DpuError ? {} : { name: error.name }),
    ...(code === undefined ? {} : { code }),
    message,
    ...(error instanceof DpuError && error.field !== undefined ? { field: error.field } : {}),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function withoutSecrets(text: string): string {
  return text.replaceAll(userInfo, '$1***@');
}
