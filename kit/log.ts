import { destination, type Logger, pino } from 'pino';
import { DpuError } from '../core/errors.ts';
import type { Log, LogFields } from '../core/ports/log.ts';

/** Fields that are never written, wherever they stand. */
const redacted = [
  'password',
  'admin_pass',
  'new_password',
  'token',
  'secret',
  'userdata',
  'connection_info',
  'transport_url',
];

/** A log of one JSON line an event, on the standard error stream. */
export function createLog(level: 'debug' | 'info' | 'warn' | 'error', service: string, fd = 2): Log {
  const logger = pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
      redact: { paths: redacted.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
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

/** Fields with errors in a form that says each message of the chain once. */
function shown(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? shownError(value) : value]),
  );
}

function shownError(error: Error): Record<string, unknown> {
  const causes: string[] = [];
  let cause = error.cause;
  while (cause instanceof Error && causes.length < 8) {
    causes.push(cause.message);
    cause = cause.cause;
  }
  return {
    ...(error instanceof DpuError ? { code: error.code } : { name: error.name }),
    message: error.message,
    ...(error instanceof DpuError && error.field !== undefined ? { field: error.field } : {}),
    ...(causes.length === 0 ? {} : { causes }),
  };
}
