import type { Database } from './database.ts';
import { ConflictError, OperationError } from './errors.ts';
import type { Operation, Results, Where } from './operations.ts';
import type { Row, TableName } from './rows.ts';
import type { CallOptions, Session } from './session.ts';

/** What to read, and what to make of it. */
export type ReadModifyWrite<T extends object, K extends TableName<T>, C, O> = {
  readonly table: K;
  readonly where: Where<T[K]>;
  /** The columns that must not have changed under us. */
  readonly columns: C;
  /** The operations to carry out; undefined does nothing. Called once an attempt: it must be free to be called again. */
  readonly change: (
    rows: readonly Row<Pick<T[K], (C extends readonly (infer N)[] ? N : never) & keyof T[K]>>[],
  ) => O | undefined | Promise<O | undefined>;
  /** Default 10. */
  readonly maxAttempts?: number;
};

/**
 * Optimistic concurrency as RFC 7047 5.2.6 means it: select, then `wait` for the same rows with no patience in front of
 * the caller's operations. Answers the results of these, or undefined when there were none to do.
 *
 * @throws ConflictError `conflict` after `maxAttempts`
 */
export async function readModifyWrite<
  T extends object,
  K extends TableName<T>,
  const C extends readonly (keyof T[K] & string)[],
  const O extends readonly Operation<T>[],
>(
  database: Database<T>,
  session: Session,
  task: ReadModifyWrite<T, K, C, O>,
  options: CallOptions & { readonly timeoutMs: number },
): Promise<Results<T, O> | undefined> {
  const { table, where, maxAttempts = 10 } = task;
  const columns = ['_uuid', ...task.columns.filter((column) => column !== '_uuid')];
  const end = performance.now() + options.timeoutMs;
  const left = (): CallOptions => ({ ...options, timeoutMs: Math.max(0, end - performance.now()) });
  for (let attempt = 1; ; attempt++) {
    const select = { op: 'select', table, where, columns } as unknown as Operation<T>;
    const [answer] = (await database.transact([select], left())) as unknown as [{ rows: never[] }];
    const operations = await task.change(answer.rows);
    if (operations === undefined) return undefined;
    const wait = { op: 'wait', table, where, columns, until: '==', rows: answer.rows, timeout: 0 };
    try {
      const results: unknown[] = await database.transact([wait as unknown as Operation<T>, ...operations], left());
      return results.slice(1) as unknown as Results<T, O>;
    } catch (error) {
      const lost = error instanceof OperationError && error.index === 0 && error.peerCode === 'timed out';
      if (!lost && error instanceof OperationError && error.index > 0) throw shifted(error);
      if (!lost) throw error;
      if (attempt >= maxAttempts) throw new ConflictError(attempt, { cause: error });
    }
    await session.pause(Math.min(session.delay(Math.max(0, attempt - 2)), 50));
    options.signal?.throwIfAborted();
  }
}

/** The caller's operations are counted without our wait. */
function shifted(error: OperationError): OperationError {
  const { peerCode, details, syntax } = error;
  return new OperationError(error.index - 1, error.operation, {
    error: peerCode,
    ...(details === undefined ? {} : { details }),
    ...(syntax === undefined ? {} : { syntax }),
  });
}
