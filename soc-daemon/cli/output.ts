import { stringify } from 'yaml';

/** How results are shown. */
export type Format = 'table' | 'json' | 'yaml';

/** A row of a table or a thing to show by itself. */
export type Row = Readonly<Record<string, unknown>>;

/** A value in a table's cell: `-` for none, lists with commas, objects as JSON. Control characters do not reach the terminal. */
export function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map((each) => cell(each)).join(', ');
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.replaceAll(/\p{Cc}/gu, '?');
}

/** A uuid's first group, which is enough to tell rows apart; -o json has it whole. */
function shortened(text: string): string {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? text.slice(0, 8) : text;
}

/** Aligned columns under a head in capitals. Uuids but those of the first column are cut, so that a row fits a terminal. */
export function table(rows: readonly Row[], columns: readonly string[]): string {
  const lines = [
    columns.map((name) => name.toUpperCase()),
    ...rows.map((row) => columns.map((name, index) => (index === 0 ? cell(row[name]) : shortened(cell(row[name]))))),
  ];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((text, index) => text.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One thing: a line for each field, and for each item of a list. */
export function card(thing: Row): string {
  const width = Math.max(...Object.keys(thing).map((name) => name.length));
  return Object.entries(thing)
    .flatMap(([name, value]) => {
      const items = Array.isArray(value) && value.length > 0 ? value : [value];
      return items.map((item, index) => `${(index === 0 ? name : '').padEnd(width)}  ${cell(item)}`);
    })
    .join('\n');
}

/** A value as JSON or YAML. */
export function document(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? JSON.stringify(value, null, 2) : stringify(value).trimEnd();
}
