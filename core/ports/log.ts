/** Facts of a log line; never a secret. An `error` field is written with its code and the messages of its causes. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * The log. The message is constant, what varies is in the fields.
 * error: a person must act; warn: we recovered; info: a state changed; debug: protocol.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line carries these fields too. */
  child(fields: LogFields): Log;
}

/** A log that keeps nothing. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
