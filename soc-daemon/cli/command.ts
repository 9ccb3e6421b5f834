import type { Client, Target } from './client.ts';
import type { Terminal } from './console.ts';
import type { ExitCode } from './exit-code.ts';
import type { Format, Row } from './output.ts';

/** An option. Without `value` it is a switch. */
export interface Option {
  readonly name: string;
  /** What stands for its value in help. */
  readonly value?: string;
  readonly help: string;
  readonly many?: boolean;
  readonly choices?: readonly string[];
}

/** What a command works with. */
export interface Context {
  readonly client: Client;
  readonly args: readonly string[];
  /** Value of an option that was given. */
  option(name: string): string | undefined;
  options(name: string): readonly string[];
  has(name: string): boolean;
  readonly format: Format;
  /** Lines for the result. */
  print(text: string): void;
  /** Shows rows as table, or `whole` as json or yaml. */
  showRows(whole: unknown, rows: readonly Row[], columns: readonly string[]): void;
  showThing(thing: Row, shown?: Row): void;
  /** A line of progress on stderr; overwritten on a terminal. */
  progress(line: string): void;
  /** A line for people, on stderr. */
  note(text: string): void;
  /** Where the node is. */
  readonly target: Target;
  readonly terminal: Terminal;
  /** Ends when the user interrupts. */
  readonly signal: AbortSignal;
}

/** A row of the command table: parsing, help and completion are made from it. */
export interface Command {
  /** `instance list`. */
  readonly words: readonly string[];
  /** Names of its arguments, in order; one with `?` may be left out. */
  readonly args?: readonly string[];
  readonly options?: readonly Option[];
  readonly help: string;
  /** Needs no node. */
  readonly local?: boolean;
  readonly run: (context: Context) => Promise<ExitCode>;
}
