/** What the demo prints: lines, and on a terminal a block beneath them that is drawn anew. */
import { stripVTControlCharacters } from 'node:util';

/** The demo's output. */
export interface Screen {
  readonly terminal: boolean;
  /** A line that stays. */
  line(text?: string): void;
  heading(text: string): void;
  /** Puts lines below everything, in place of those before; nothing where there is no terminal. */
  block(lines: readonly string[]): void;
  /** What is in the block stays as it is. */
  keepBlock(): void;
  paint(style: Style, text: string): string;
}

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

const CODES: Readonly<Record<Style, number>> = { bold: 1, dim: 2, green: 32, yellow: 33, red: 31, cyan: 36 };

/** A screen on a stream. */
export function createScreen(out: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Screen {
  const terminal = out.isTTY === true && env.TERM !== 'dumb';
  const colour = terminal && env.NO_COLOR === undefined;
  let shown: readonly string[] = [];

  const paint = (style: Style, text: string): string => (colour ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text);
  const clear = (): string => (shown.length === 0 ? '' : `\x1b[${shown.length}A\x1b[J`);
  const text = (lines: readonly string[]): string => lines.map((each) => `${each}\n`).join('');

  function line(content = ''): void {
    out.write(`${clear()}${content}\n${text(shown)}`);
  }

  return {
    terminal,
    line,
    paint,
    heading: (content) => line(`\n${paint('bold', content)}`),
    block(lines) {
      if (!terminal) return;
      const width = out.columns - 1;
      const cut = lines.slice(-Math.max(1, out.rows - 2)).map((each) => shorten(each, width));
      out.write(`${clear()}${text(cut)}`);
      shown = cut;
    },
    keepBlock() {
      shown = [];
    },
  };
}

function shorten(line: string, width: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= width ? line : plain.slice(0, width);
}

/** Rows as a table with aligned columns, indented by two. */
export function tableLines(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
}
