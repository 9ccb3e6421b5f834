export { type Address, parseAddress } from './address.ts';
export type { Backoff } from './backoff.ts';
export type { Cache, CacheState } from './cache.ts';
export type { CachedRow, CacheEvents, Change, IndexName, MonitorSpec, TableMonitor, TableView } from './cache-types.ts';
export { type Client, createClient } from './client.ts';
export type { Database } from './database.ts';
export type { TlsOptions } from './dial.ts';
export {
  BadAddressError,
  ClosedError,
  ConflictError,
  ConnectionLostError,
  DeadlineError,
  EncodeError,
  NoIndexError,
  OperationError,
  OverloadError,
  OvsdbError,
  type PeerError,
  ProtocolError,
  RequestError,
} from './errors.ts';
export { generateTypes } from './generate-types.ts';
export { JsonStream, type JsonStreamLimits } from './json-stream.ts';
export type { Lock, LockEvents } from './lock.ts';
export type {
  Condition,
  ConditionFunction,
  Mutation,
  Mutator,
  Operation,
  ResultOf,
  Results,
  Where,
} from './operations.ts';
export type { ReadModifyWrite } from './read-modify-write.ts';
export {
  type AnyTables,
  type Atom,
  type Input,
  isUuid,
  type NamedUuid,
  namedUuid,
  type Row,
  type RowInput,
  type Uuid,
  uuid,
  type Value,
} from './rows.ts';
export { type ColumnSchema, type ColumnType, type DatabaseSchema, parseSchema, type TableSchema } from './schema.ts';
export type { TablesOf } from './schema-types.ts';
export type { CallOptions, ClientOptions, SessionEvents } from './session.ts';
