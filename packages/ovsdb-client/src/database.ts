import { Cache } from './cache.ts';
import type { MonitorSpec } from './cache-types.ts';
import { decodeResults } from './decode-result.ts';
import { encodeOperation } from './encode-operation.ts';
import type { Operation, Results } from './operations.ts';
import { raced } from './raced.ts';
import { type ReadModifyWrite, readModifyWrite } from './read-modify-write.ts';
import type { AnyTables, TableName } from './rows.ts';
import { type DatabaseSchema, parseSchema } from './schema.ts';
import type { CallOptions, Session } from './session.ts';

/**
 * One database of a server. `T` describes its tables: written by hand, derived from a schema (`TablesOf`), or generated
 * (`generateTypes`); values are checked against the server's own schema at run time as well.
 */
export class Database<T extends object = AnyTables> {
  readonly name: string;
  readonly #session: Session;
  readonly #timeoutMs: number;
  #loading: Promise<DatabaseSchema> | undefined;
  #schema: DatabaseSchema | undefined;
  #seen: { readonly text: string; readonly schema: DatabaseSchema } | undefined;

  constructor(session: Session, name: string, timeoutMs: number) {
    this.name = name;
    this.#session = session;
    this.#timeoutMs = timeoutMs;
    session.join({ connected: () => undefined, disconnected: () => this.#forget() });
  }

  /** The schema that the server has now (RFC 7047 4.1.2), asked for once a connection. @throws RequestError `request` */
  async schema(options: CallOptions = {}): Promise<DatabaseSchema> {
    if (this.#schema !== undefined) return this.#schema;
    this.#loading ??= this.#load();
    return raced(this.#loading, 'get_schema', {
      timeoutMs: options.timeoutMs ?? this.#timeoutMs,
      signal: options.signal,
    });
  }

  /**
   * Carries out all operations or none (RFC 7047 4.1.3); answers stand at their operations' places. A monitor of the same
   * client has seen the changes when this settles, as long as its cache is `synced`.
   *
   * @throws OperationError `operation`: an operation failed, nothing was done
   * @throws RequestError `request` · EncodeError `encode` · OverloadError `overload`: nothing was done
   * @throws ConnectionLostError `connection-lost` · DeadlineError `deadline`: it may have been done or not
   */
  async transact<const O extends readonly Operation<T>[]>(
    operations: O,
    options: CallOptions = {},
  ): Promise<Results<T, O>> {
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const start = performance.now();
    const schema = this.#schema ?? (await this.schema({ ...options, timeoutMs }));
    const steps = operations as unknown as readonly Operation<AnyTables>[];
    const params = [this.name, ...steps.map((step) => encodeOperation(schema, step))];
    const left = Math.max(0, timeoutMs - (performance.now() - start));
    const answer = await this.#session.request('transact', params, { ...options, timeoutMs: left });
    return decodeResults(schema, steps, answer) as unknown as Results<T, O>;
  }

  /**
   * Reads rows, lets `change` decide what to do, and does it only if the rows are still the same; else reads again.
   *
   * @throws ConflictError `conflict` after `maxAttempts` · what `transact` throws
   */
  readModifyWrite<
    K extends TableName<T>,
    const C extends readonly (keyof T[K] & string)[],
    const O extends readonly Operation<T>[],
  >(task: ReadModifyWrite<T, K, C, O>, options: CallOptions = {}): Promise<Results<T, O> | undefined> {
    return readModifyWrite(this, this.#session, task, { timeoutMs: this.#timeoutMs, ...options });
  }

  /**
   * Keeps rows in a local cache; settles when the first content is in. On failure nothing is left behind.
   *
   * @throws RequestError `request` · EncodeError `encode` · DeadlineError `deadline`
   */
  async monitor<const M extends MonitorSpec<T>>(spec: M, options: CallOptions = {}): Promise<Cache<T, M>> {
    const cache = new Cache<T, M>(
      {
        session: this.#session,
        database: this.name,
        timeoutMs: this.#timeoutMs,
        schema: () => this.schema(),
        forgetSchema: () => this.#forget(),
      },
      spec,
    );
    try {
      await raced(cache.ready(), 'monitor', {
        timeoutMs: options.timeoutMs ?? this.#timeoutMs,
        signal: options.signal,
      });
      return cache;
    } catch (error) {
      cache.close();
      throw error;
    }
  }

  #forget(): void {
    this.#schema = undefined;
    this.#loading = undefined;
  }

  async #load(): Promise<DatabaseSchema> {
    const loading = this.#loading;
    try {
      const json = await this.#session.request('get_schema', [this.name], {
        repeatable: true,
        timeoutMs: this.#timeoutMs,
      });
      const text = JSON.stringify(json);
      // The same schema stays the same object, so that caches know that nothing changed.
      if (this.#seen?.text !== text) this.#seen = { text, schema: parseSchema(json) };
      this.#schema = this.#seen.schema;
      return this.#seen.schema;
    } finally {
      if (this.#loading === loading || loading === undefined) this.#loading = undefined;
    }
  }
}
