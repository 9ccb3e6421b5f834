import { decodeValue } from './decode-value.ts';
import { OperationError, type PeerError, ProtocolError } from './errors.ts';
import { isUuid, type Value } from './rows.ts';
import type { DatabaseSchema, TableSchema } from './schema.ts';

type Step = { readonly op: string; readonly table?: string };

/**
 * Reads the answers to a transaction (RFC 7047 4.1.3): one for each operation, or an error somewhere. After the one that
 * failed the server answers null; an error behind the last means that the commit failed.
 *
 * @throws OperationError `operation` for the operation that failed
 * @throws ProtocolError `protocol` when the answers are of another form
 */
export function decodeResults(schema: DatabaseSchema, steps: readonly Step[], wire: unknown): unknown[] {
  if (!Array.isArray(wire)) throw new ProtocolError('the answer to transact is not an array');
  const answers: readonly unknown[] = wire;
  answers.forEach((answer, index) => {
    const error = peerError(answer);
    if (error !== undefined) throw new OperationError(index, steps[index]?.op ?? 'commit', error);
  });
  if (answers.length !== steps.length)
    throw new ProtocolError('transact has another number of answers than operations');
  return steps.map((step, index) => decodeResult(schema, step, answers[index]));
}

/** The `<error>` in an answer, if it is one (RFC 7047 3.1). */
export function peerError(answer: unknown): PeerError | undefined {
  if (typeof answer === 'string') return { error: answer };
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return undefined;
  const { error, details, syntax } = answer as { error: unknown; details?: unknown; syntax?: unknown };
  if (typeof error !== 'string') return undefined;
  return {
    error,
    ...(typeof details === 'string' ? { details } : {}),
    ...(typeof syntax === 'string' ? { syntax } : {}),
  };
}

/** Reads a `<row>` (RFC 7047 5.1); a column that the schema does not know is left out. */
export function decodeRow(table: TableSchema, wire: unknown): Record<string, Value> {
  if (typeof wire !== 'object' || wire === null) throw new ProtocolError('a row is not an object');
  const row: Record<string, Value> = {};
  for (const [name, value] of Object.entries(wire)) {
    const column = table.columns.get(name);
    if (column !== undefined) row[name] = decodeValue(column.type, value);
  }
  return row;
}

function decodeResult(schema: DatabaseSchema, step: Step, answer: unknown): unknown {
  const members = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>;
  switch (step.op) {
    case 'insert': {
      const id: unknown = Array.isArray(members.uuid) ? members.uuid[1] : undefined;
      if (!isUuid(id)) throw new ProtocolError('the answer to insert has no uuid');
      return { uuid: id };
    }
    case 'select': {
      const table = schema.tables.get(step.table ?? '');
      if (table === undefined || !Array.isArray(members.rows))
        throw new ProtocolError('the answer to select has no rows');
      return { rows: members.rows.map((row: unknown) => decodeRow(table, row)) };
    }
    case 'update':
    case 'mutate':
    case 'delete':
      if (typeof members.count !== 'number') throw new ProtocolError(`the answer to ${step.op} has no count`);
      return { count: members.count };
    default:
      return {};
  }
}
