/** Exit codes of dpuctl. */
export const exitCode = { done: 0, failed: 1, usage: 2, notFound: 3, notReachable: 4 } as const;

/** One of the exit codes. */
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** Ends dpuctl with a message on stderr and an exit code. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exit: ExitCode;

  constructor(exit: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exit = exit;
  }
}

/** A wrong command line. */
export function usage(message: string): CliError {
  return new CliError(exitCode.usage, message);
}
