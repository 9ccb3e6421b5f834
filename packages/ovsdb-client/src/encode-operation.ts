import { encodeArgument, encodeMutation, encodeValue } from './encode-value.ts';
import { EncodeError } from './errors.ts';
import type { Operation, TableOperation } from './operations.ts';
import type { AnyTables } from './rows.ts';
import type { ColumnType, DatabaseSchema, TableSchema } from './schema.ts';

/**
 * An operation in the wire's form (RFC 7047 5.2).
 *
 * @throws EncodeError `encode` for a table or column that the schema does not have, and a value that does not fit
 */
export function encodeOperation(schema: DatabaseSchema, operation: Operation<AnyTables>): object {
  switch (operation.op) {
    case 'commit':
      return { op: 'commit', durable: operation.durable };
    case 'abort':
      return { op: 'abort' };
    case 'comment':
      return { op: 'comment', comment: operation.comment };
    case 'assert':
      return { op: 'assert', lock: operation.lock };
    default:
      return encodeOnTable(findTable(schema, operation.table), operation);
  }
}

/** Conditions in the wire's form (RFC 7047 5.1). */
export function encodeWhere(table: TableSchema, where: readonly (readonly unknown[])[], name: string): unknown[] {
  return where.map(([column, how, value]) => {
    const type = findColumn(table, String(column), name);
    return [column, how, encodeArgument(type, value, `${name}.${String(column)}`)];
  });
}

/** The table's schema. @throws EncodeError `encode` when there is none */
export function findTable(schema: DatabaseSchema, name: string): TableSchema {
  const table = schema.tables.get(name);
  if (table === undefined) throw new EncodeError(`no table ${name} in ${schema.name}`);
  return table;
}

/** The column's type. @throws EncodeError `encode` when there is none */
export function findColumn(table: TableSchema, column: string, name: string): ColumnType {
  const found = table.columns.get(column);
  if (found === undefined) throw new EncodeError(`no column ${column} in ${name}`);
  return found.type;
}

function encodeOnTable(table: TableSchema, operation: TableOperation<AnyTables[string], string>): object {
  const { op, table: name } = operation;
  switch (operation.op) {
    case 'insert':
      return {
        op,
        table: name,
        row: encodeRow(table, operation.row, name),
        ...(operation.uuidName === undefined ? {} : { 'uuid-name': operation.uuidName }),
        ...(operation.uuid === undefined ? {} : { uuid: operation.uuid }),
      };
    case 'select':
      return {
        op,
        table: name,
        where: encodeWhere(table, operation.where, name),
        ...(operation.columns === undefined ? {} : { columns: operation.columns }),
      };
    case 'update':
      return {
        op,
        table: name,
        where: encodeWhere(table, operation.where, name),
        row: encodeRow(table, operation.row, name),
      };
    case 'mutate':
      return {
        op,
        table: name,
        where: encodeWhere(table, operation.where, name),
        mutations: operation.mutations.map(([column, how, value]) => {
          const type = findColumn(table, column, name);
          return [column, how, encodeMutation(type, how, value, `${name}.${column}`)];
        }),
      };
    case 'delete':
      return { op, table: name, where: encodeWhere(table, operation.where, name) };
    case 'wait':
      return {
        op,
        table: name,
        where: encodeWhere(table, operation.where, name),
        columns: operation.columns,
        until: operation.until,
        rows: operation.rows.map((row) => encodeRow(table, row, name)),
        ...(operation.timeout === undefined ? {} : { timeout: operation.timeout }),
      };
  }
}

function encodeRow(table: TableSchema, row: object, name: string): object {
  return Object.fromEntries(
    Object.entries(row)
      .filter(([, value]) => value !== undefined)
      .map(([column, value]) => [column, encodeValue(findColumn(table, column, name), value, `${name}.${column}`)]),
  );
}
