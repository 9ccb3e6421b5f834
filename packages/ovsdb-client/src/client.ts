import { Database } from './database.ts';
import { OvsdbError, ProtocolError } from './errors.ts';
import { Lock } from './lock.ts';
import type { AnyTables } from './rows.ts';
import { type DatabaseSchema, parseSchema } from './schema.ts';
import { type CallOptions, type ClientOptions, Session, type SessionEvents } from './session.ts';

/** A server, its databases and its locks, over one connection that is kept up. */
export type Client = {
  /** Whether there is a connection now. */
  readonly isConnected: boolean;
  /** Adds a listener; the function returned takes it away again. */
  on<K extends keyof SessionEvents>(name: K, listener: (event: SessionEvents[K]) => void): () => void;
  /** Names of the databases (RFC 7047 4.1.1). */
  listDbs(options?: CallOptions): Promise<readonly string[]>;
  /** A database's schema (RFC 7047 4.1.2). @throws RequestError `request`, `unknown database` */
  getSchema(name: string, options?: CallOptions): Promise<DatabaseSchema>;
  /** Identity of the server's process (ovsdb-server(7) 4.1.17). */
  getServerId(options?: CallOptions): Promise<string>;
  /** Settles when the server answers (RFC 7047 4.1.11). */
  echo(options?: CallOptions): Promise<void>;
  /** One of the databases; the same object for the same name. Nothing is sent. */
  database<T extends object = AnyTables>(name: string): Database<T>;
  /**
   * Asks for a lock (RFC 7047 4.1.8), on this and each later connection; `steal` takes it from its owner, once.
   *
   * @throws OvsdbError `lock-in-use` when this client has asked for it already
   */
  lock(id: string, options?: { readonly steal?: boolean }): Lock;
  /** Ends the connection; calls that wait fail with `closed`. May be called twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * Makes a client; it connects in the background and a server that is away is no error. Calls wait for the connection
 * until their deadline.
 *
 * @throws BadAddressError `bad-address`
 */
export function createClient(options: ClientOptions): Client {
  const session = new Session(options);
  const timeoutMs = options.timeoutMs ?? 30_000;
  const databases = new Map<string, Database<never>>();
  const locks = new Set<string>();
  return {
    get isConnected() {
      return session.connection !== undefined;
    },
    on: session.on,
    async listDbs(call = {}) {
      const names = await session.request('list_dbs', [], { ...call, repeatable: true });
      if (!Array.isArray(names)) throw new ProtocolError('the answer to list_dbs is not an array');
      return names.map(String);
    },
    async getSchema(name, call = {}) {
      return parseSchema(await session.request('get_schema', [name], { ...call, repeatable: true }));
    },
    async getServerId(call = {}) {
      return String(await session.request('get_server_id', [], { ...call, repeatable: true }));
    },
    async echo(call = {}) {
      await session.request('echo', [], { ...call, repeatable: true });
    },
    database<T extends object>(name: string): Database<T> {
      const known = databases.get(name) ?? new Database<never>(session, name, timeoutMs);
      databases.set(name, known);
      return known as unknown as Database<T>;
    },
    lock(id, { steal = false } = {}) {
      if (locks.has(id)) throw new OvsdbError('lock-in-use', `this client has asked for lock ${id} already`);
      locks.add(id);
      return new Lock(session, id, steal, () => locks.delete(id));
    },
    close: () => session.close(),
    [Symbol.asyncDispose]: () => session.close(),
  };
}
