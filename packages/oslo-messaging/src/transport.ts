import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { type ChannelModel, connect, type SocketOptions } from 'amqplib';
import { type Backoff, backoffDelay } from './backoff.ts';
import { Emitter } from './emitter.ts';
import { ClosedError } from './errors.ts';
import { type Logger, silentLogger } from './logger.ts';
import { pause, withSignal } from './signals.ts';
import { type BrokerAddress, parseTransportUrl, type TransportUrl } from './transport-url.ts';

/** `connecting`: no connection now, one is being tried for. */
export type TransportState = 'connecting' | 'connected' | 'closed';

/** What a transport tells. */
export type TransportEvents = {
  connected: { readonly hostname: string; readonly port: number };
  /** An established connection ended; null error: the broker closed it in order. */
  disconnected: { readonly error: Error | null };
  /** A try to connect failed, or the broker refused a declaration (FlagsMismatchError for other queue flags). */
  error: Error;
};

/** TLS material given directly instead of by file; `servername` is the name to verify. */
export type TlsOptions = {
  readonly ca?: NonNullable<ConnectionOptions['ca']>;
  readonly cert?: NonNullable<ConnectionOptions['cert']>;
  readonly key?: NonNullable<ConnectionOptions['key']>;
  readonly servername?: string;
};

/** Options of createTransport. */
export type TransportOptions = {
  readonly url: string | TransportUrl;
  /** Over what the URL says . Only used when the URL asks for TLS. */
  readonly tls?: TlsOptions;
  /** AMQP heartbeat in seconds. Default 30; 0 turns it off. */
  readonly heartbeatSec?: number;
  /** Limit of one try to connect in ms. Default 10000. */
  readonly connectTimeoutMs?: number;
  readonly backoff?: Backoff;
  /** Source of jitter in [0, 1). Default Math.random. */
  readonly random?: () => number;
  readonly logger?: Logger;
  /** Shown in the broker's list of connections. */
  readonly connectionName?: string;
};

/** One connection to a broker that is kept up until `close`. */
export type Transport = {
  readonly state: TransportState;
  readonly logger: Logger;
  readonly random: () => number;
  readonly backoff: Backoff;
  /** Adds a listener and returns the function that takes it away. */
  on<K extends keyof TransportEvents>(name: K, listener: (event: TransportEvents[K]) => void): () => void;
  /** The connection, as soon as there is one. @throws ClosedError, or the signal's reason */
  connection(signal: AbortSignal): Promise<ChannelModel>;
  /** Tells listeners of `error`; for the parts of this package. */
  report(error: Error): void;
  /** Ends the connection, its channels and all tries. May be called twice. */
  close(): Promise<void>;
};

/**
 * Connects in the background and again whenever the connection ends, taking the URL's hosts in turn with a back-off
 * between tries. A broker that is away is no error: the transport stays `connecting`.
 * @throws BadTransportUrlError
 */
export function createTransport(options: TransportOptions): Transport {
  const url = typeof options.url === 'string' ? parseTransportUrl(options.url) : options.url;
  const logger = options.logger ?? silentLogger;
  const random = options.random ?? Math.random;
  const backoff = options.backoff ?? {};
  const emitter = new Emitter<TransportEvents>((err) => logger.error({ err }, 'transport listener failed'));
  const closing = new AbortController();
  let state: TransportState = 'connecting';
  let next = Promise.withResolvers<ChannelModel>();
  let live: ChannelModel | undefined;

  const settled = keepConnected();

  async function keepConnected(): Promise<void> {
    let attempt = 0;
    for (let turn = 0; !closing.signal.aborted; turn++) {
      const host = url.hosts[turn % url.hosts.length];
      if (host === undefined) return;
      try {
        const stayedMs = await connectOnce(host);
        if (stayedMs > 5000) attempt = 0;
      } catch (error) {
        if (closing.signal.aborted) return;
        logger.warn({ err: error, hostname: host.hostname, port: host.port }, 'broker cannot be reached');
        emitter.emit('error', toError(error));
      }
      await pause(backoffDelay(attempt++, backoff, random), closing.signal);
    }
  }

  async function connectOnce(host: BrokerAddress): Promise<number> {
    const attempt = connect(
      {
        protocol: url.tls === null ? 'amqp' : 'amqps',
        hostname: host.hostname,
        port: host.port,
        username: host.username,
        password: host.password,
        vhost: encodeURIComponent(url.virtualHost),
        heartbeat: options.heartbeatSec ?? 30,
      },
      await socketOptions(url, options),
    );
    const connection = await withSignal(attempt, closing.signal).catch((error: unknown) => {
      attempt.then(closeQuietly, () => {}); // one that comes after close() is not used
      throw error;
    });
    const ended = Promise.withResolvers<Error | null>();
    let lastError: Error | null = null;
    connection.on('error', (error: Error) => {
      lastError = error;
    });
    connection.on('close', (error?: Error) => ended.resolve(error ?? lastError));
    if (closing.signal.aborted) {
      await closeQuietly(connection);
      return 0;
    }
    live = connection;
    state = 'connected';
    const since = performance.now();
    logger.info({ hostname: host.hostname, port: host.port }, 'connected to the broker');
    next.resolve(connection);
    emitter.emit('connected', { hostname: host.hostname, port: host.port });
    const error = await withSignal(ended.promise, closing.signal); // close() ends the connection itself
    live = undefined;
    if (state === 'connected') {
      next = Promise.withResolvers();
      next.promise.catch(() => {}); // those who wait get the rejection; nobody waiting is no fault
      state = 'connecting';
      logger.warn({ err: error }, 'connection to the broker lost');
      emitter.emit('disconnected', { error });
    }
    return performance.now() - since;
  }

  next.promise.catch(() => {}); // as above

  return {
    get state() {
      return state;
    },
    logger,
    random,
    backoff,
    on: (name, listener) => emitter.on(name, listener),
    async connection(signal) {
      if (state === 'closed') throw new ClosedError('the transport is closed');
      return await withSignal(next.promise, signal);
    },
    report: (error) => emitter.emit('error', error),
    async close() {
      if (state !== 'closed') {
        state = 'closed';
        next.promise.catch(() => {}); // as above
        next.reject(new ClosedError('the transport is closed'));
        closing.abort();
        if (live !== undefined) await closeQuietly(live);
      }
      await settled;
    },
  };
}

async function socketOptions(url: TransportUrl, options: TransportOptions): Promise<SocketOptions> {
  const plain: SocketOptions = {
    noDelay: true,
    keepAlive: true,
    timeout: options.connectTimeoutMs ?? 10_000,
    clientProperties: options.connectionName === undefined ? {} : { connection_name: options.connectionName },
  };
  if (url.tls === null) return plain;
  const { caFile, certFile, keyFile } = url.tls;
  // Read anew at each try, so that renewed certificates are used without a restart.
  return {
    ...plain,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(caFile === undefined ? {} : { ca: await readFile(caFile) }),
    ...(certFile === undefined ? {} : { cert: await readFile(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readFile(keyFile) }),
    ...options.tls,
  };
}

async function closeQuietly(connection: ChannelModel): Promise<void> {
  // A broker that hangs must not hold up a shutdown; the socket ends with the process at the latest.
  const limit = AbortSignal.timeout(3000);
  await withSignal(connection.close(), limit).catch(() => {});
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
