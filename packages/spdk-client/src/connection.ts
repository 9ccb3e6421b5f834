import { connect } from 'node:net';
import { ConnectionLostError } from './errors.ts';
import { type FramerLimits, JsonFramer } from './framer.ts';

/** Where SPDK listens (`-r` of its applications): a unix socket, or TCP. SPDK has no authentication: keep TCP on loopback. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** One socket to SPDK. */
export interface Connection {
  /** Writes the bytes of one request. */
  send(bytes: Buffer): void;
  /** Ends the socket at once; `closed` is not called any more. */
  destroy(): void;
}

/** What the owner of a connection is told. */
export interface ConnectionHandlers {
  /** A whole document has come. */
  document(value: unknown): void;
  /** The socket is gone, by the peer, the network or a broken frame. Called once. */
  closed(error: Error): void;
}

/**
 * Connects, or rejects with the socket's error or the signal's reason. The handlers are called from the moment it resolves.
 */
export function openConnection(
  address: Address,
  limits: FramerLimits,
  handlers: ConnectionHandlers,
  signal: AbortSignal,
): Promise<Connection> {
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  if (signal.aborted) {
    reject(signal.reason);
    return promise;
  }
  const socket = connect(address);
  const framer = new JsonFramer(limits);
  let over = false;
  const end = (error: Error) => {
    if (over) return;
    over = true;
    signal.removeEventListener('abort', stop);
    socket.destroy();
    reject(error); // of no effect once it is open
    handlers.closed(error);
  };
  const stop = () => end(signal.reason instanceof Error ? signal.reason : new ConnectionLostError());
  signal.addEventListener('abort', stop, { once: true });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 10_000);
  socket.once('connect', () => {
    if (over) return;
    signal.removeEventListener('abort', stop);
    resolve({
      send: (bytes) => void socket.write(bytes),
      destroy: () => {
        over = true;
        socket.destroy();
      },
    });
  });
  socket.on('data', (chunk) => {
    try {
      for (const document of framer.push(chunk)) {
        if (over) return;
        handlers.document(document);
      }
    } catch (error) {
      end(error instanceof Error ? error : new ConnectionLostError());
    }
  });
  socket.once('error', end);
  socket.once('end', () => end(new ConnectionLostError('SPDK closed the connection')));
  socket.once('close', () => end(new ConnectionLostError()));
  return promise;
}
