import { decodeValue } from './decode-value.ts';
import { findColumn } from './encode-operation.ts';
import { encodeArgument } from './encode-value.ts';
import { sameValue } from './equal.ts';
import type { Value } from './rows.ts';
import type { TableSchema } from './schema.ts';

/** A row's columns by name. */
type Columns = { readonly [column: string]: Value | undefined };

/**
 * Makes a test of rows for a server that knows no conditions in monitors. As in `monitor_cond`, a row passes when ONE of
 * the conditions holds (ovsdb-server(7) 4.1.12), and none given lets all pass.
 *
 * @throws EncodeError `encode` when a condition does not fit the schema
 */
export function rowFilter(
  table: TableSchema,
  where: readonly (readonly unknown[])[] | false,
  name: string,
): (row: Columns) => boolean {
  if (where === false) return () => false;
  const tests = where.map(([columnName, how, argument]) => {
    const column = String(columnName);
    const type = findColumn(table, column, name);
    const wanted = decodeValue(type, encodeArgument(type, argument, `${name}.${column}`));
    return (row: Columns) => holds(row[column] ?? null, String(how), wanted);
  });
  return tests.length === 0 ? () => true : (row) => tests.some((test) => test(row));
}

/** RFC 7047 5.1 `<condition>`. */
function holds(value: Value, how: string, wanted: Value): boolean {
  switch (how) {
    case '==':
      return sameValue(value, wanted);
    case '!=':
      return !sameValue(value, wanted);
    case 'includes':
      return pairs(wanted).every((pair) => hasPair(value, pair));
    case 'excludes':
      return pairs(wanted).every((pair) => !hasPair(value, pair));
    default:
      if (typeof value !== 'number' || typeof wanted !== 'number') return false;
      return ordered(value, how, wanted);
  }
}

function ordered(value: number, how: string, wanted: number): boolean {
  if (how === '<') return value < wanted;
  if (how === '<=') return value <= wanted;
  return how === '>' ? value > wanted : value >= wanted;
}

function pairs(value: Value): readonly (readonly [unknown, unknown])[] {
  if (value === null) return [];
  if (value instanceof Map) return [...value];
  return value instanceof Set ? [...value].map((member) => [member, true] as const) : [[value, true]];
}

function hasPair(value: Value, [key, member]: readonly [unknown, unknown]): boolean {
  if (value instanceof Map) return value.has(key) && value.get(key) === member;
  return value instanceof Set ? value.has(key) : value === key;
}
