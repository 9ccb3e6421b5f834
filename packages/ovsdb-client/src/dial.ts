import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Address } from './address.ts';
import { ConnectionLostError } from './errors.ts';

/** Material of a TLS connection, each as PEM text. The server's certificate is always verified. */
export type TlsOptions = {
  /** Authorities to trust; the system's when left out. */
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Name the certificate must be for; default: the address's host. */
  readonly servername?: string;
  /**
   * Default true. False accepts any name under a certificate that `ca` vouches for: what ovs-pki(8) makes carries no
   * host name, and Open vSwitch itself checks none.
   */
  readonly verifyHost?: boolean;
};

/**
 * Opens a socket to a server.
 *
 * @throws ConnectionLostError `connection-lost`, the cause is the system's or TLS's error
 */
export async function dial(address: Address, tls: TlsOptions, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = open(address, tls);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal.reason);
  socket.once(address.kind === 'ssl' ? 'secureConnect' : 'connect', resolve);
  socket.once('error', (error) => reject(new ConnectionLostError('cannot connect', { cause: error })));
  socket.once('close', () => reject(new ConnectionLostError('cannot connect')));
  signal.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
  if (address.kind !== 'unix') socket.setNoDelay(true);
  return socket;
}

function open(address: Address, tls: TlsOptions): Socket {
  switch (address.kind) {
    case 'unix':
      return connectPlain({ path: address.path });
    case 'tcp':
      return connectPlain({ host: address.host, port: address.port });
    case 'ssl': {
      const { verifyHost = true, servername, ...material } = tls;
      return connectTls({
        ...material,
        host: address.host,
        port: address.port,
        ...(servername !== undefined ? { servername } : isIP(address.host) === 0 ? { servername: address.host } : {}),
        ...(verifyHost ? {} : { checkServerIdentity: () => undefined }),
      });
    }
  }
}
