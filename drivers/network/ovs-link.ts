import { createClient, OvsdbError, type TlsOptions } from 'ovsdb-client';
import { DpuError } from '../../core/errors.ts';
import { abortable } from './abortable.ts';
import { type BridgeRow, monitored, type OvsCache, type OvsDatabase, type OvsTables } from './tables.ts';

/** How the database is reached. */
export interface OvsLinkOptions {
  /** `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT`. */
  readonly ovsdb: string;
  readonly tls?: TlsOptions;
  /** How long a call waits for a database that is away, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Told when what is in memory is the database's again after it was away. */
  readonly resynced: () => void;
  /** Told after each transaction that changed something that is kept. */
  readonly updated: () => void;
}

/** The database of a switch, over one connection that is kept up. */
export interface OvsLink {
  readonly db: OvsDatabase;
  /** What is in the database now. @throws DpuError `unavailable`; the signal's reason. */
  cache(signal?: AbortSignal): Promise<OvsCache>;
  /** What was last known of it, without waiting; undefined before the first time. */
  readonly known: OvsCache | undefined;
  close(): Promise<void>;
}

/** Opens a link; a database that is away is no error yet. @throws DpuError `invalid` for an address that is none. */
export function openOvsLink(options: OvsLinkOptions): OvsLink {
  const { connectTimeoutMs: timeoutMs } = options;
  const client = openClient(options);
  client.on('error', () => undefined); // listeners of ours do not throw
  const db = client.database<OvsTables>('Open_vSwitch');
  let monitoring: Promise<OvsCache> | undefined;
  let known: OvsCache | undefined;

  async function monitor(): Promise<OvsCache> {
    try {
      const cache = await db.monitor(monitored, { timeoutMs });
      known = cache;
      cache.on('synced', () => options.resynced());
      cache.on('update', () => options.updated());
      cache.on('error', () => undefined); // tried again by itself; who asks meanwhile is told `unavailable`
      options.updated();
      return cache;
    } catch (error) {
      monitoring = undefined;
      throw error;
    }
  }

  return {
    db,
    get known() {
      return known;
    },
    async cache(signal) {
      signal?.throwIfAborted();
      try {
        monitoring ??= monitor();
        const cache = await abortable(monitoring, signal);
        const call = { timeoutMs, ...(signal ? { signal } : {}) };
        if (cache.state !== 'synced') await cache.until(() => cache.state === 'synced', call);
        return cache;
      } catch (error) {
        throw ovsError(error, 'asking the Open vSwitch database', signal);
      }
    },
    close: () => client.close(),
  };
}

function openClient({ ovsdb, tls, connectTimeoutMs }: OvsLinkOptions): ReturnType<typeof createClient> {
  try {
    return createClient({
      address: ovsdb,
      timeoutMs: connectTimeoutMs,
      backoff: { baseMs: 50, maxMs: 2_000 },
      ...(tls ? { tls } : {}),
    });
  } catch (cause) {
    throw new DpuError('invalid', 'the address of the Open vSwitch database is not one', {
      field: 'network.ovsdb',
      cause,
    });
  }
}

/** The bridge. @throws DpuError `unavailable` when it is gone. */
export function bridgeOf(cache: OvsCache, name: string): BridgeRow {
  const row = cache.table('Bridge').first('name', name);
  if (!row) throw new DpuError('unavailable', `Open vSwitch has no bridge ${name}`);
  return row;
}

/** What the database client throws as our error; ours and the signal's reason stay as they are. */
export function ovsError(error: unknown, doing: string, signal?: AbortSignal): unknown {
  if (error instanceof DpuError || (signal?.aborted && error === signal.reason)) return error;
  if (!(error instanceof OvsdbError)) return new DpuError('internal', `${doing} failed`, { cause: error });
  const isOurs = error.code === 'encode' || error.code === 'no-index' || error.code === 'operation';
  return isOurs
    ? new DpuError('internal', `${doing} was refused`, { cause: error })
    : new DpuError('unavailable', 'the Open vSwitch database does not answer', { cause: error });
}
