/** What a measure found: rows of the table. */

/** One line of the table. */
export interface Row {
  readonly what: string;
  /** With its unit. */
  readonly measured: string;
  /** What the project wants to reach; empty where there is no such number. */
  readonly target: string;
  /** Something known, measured in the same run unless it says otherwise. */
  readonly peer: string;
  /** The numbers behind it, for programs. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** The value that a share of all values does not exceed; 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Median with the least and the greatest: `391 ms (380 to 420)`. */
export function spread(values: readonly number[], unit: string): string {
  const [low, middle, high] = [0, 0.5, 1].map((share) => quantile(values, share).toFixed(0));
  return `${middle} ${unit} (${low} to ${high})`;
}

/** Bytes as MiB with one decimal. */
export function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

/** The rows as a table in Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ['Measure', 'Measured', 'Target', 'Peer'],
    ...rows.map((row) => [row.what, row.measured, row.target, row.peer]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const lines = cells.map((row) => `| ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`);
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}
