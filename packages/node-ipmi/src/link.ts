import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { IpmiUnreachableError } from './errors.ts';
import { withSignal } from './signals.ts';

/** A UDP socket that is connected to one BMC, so that the kernel drops what others send. */
export type Link = {
  /** Sends a datagram; what goes wrong is told to the error listener, as a loss on the way would be by silence. */
  send(datagram: Buffer): void;
  /** Who gets the datagrams; one listener at a time. */
  listen(onDatagram: (datagram: Buffer) => void, onError?: (error: IpmiUnreachableError) => void): void;
  close(): void;
};

/**
 * Opens a link from a free port.
 * @throws `unreachable` when the name has no address or there is no route; the signal's reason.
 */
export async function openLink(host: string, port: number, signal: AbortSignal): Promise<Link> {
  const where = `${host} port ${port}`;
  const found = await withSignal(
    lookup(host).catch((cause: unknown) => {
      throw new IpmiUnreachableError(`${where}: no address`, { cause });
    }),
    signal,
  );
  const socket = createSocket(found.family === 6 ? 'udp6' : 'udp4');
  try {
    const connected = once(socket, 'connect', { signal });
    socket.connect(port, found.address);
    await connected;
  } catch (cause) {
    socket.close();
    if (signal.aborted) throw signal.reason;
    throw new IpmiUnreachableError(`${where}: no way there`, { cause });
  }
  let onDatagram: (datagram: Buffer) => void = () => {};
  let onError: (error: IpmiUnreachableError) => void = () => {};
  let open = true;
  const fail = (cause: Error | null) => {
    if (cause !== null && open) onError(new IpmiUnreachableError(`${where}: refused`, { cause }));
  };
  socket.on('message', (datagram) => onDatagram(datagram));
  socket.on('error', fail);
  return {
    send(datagram) {
      if (open) socket.send(datagram, fail);
    },
    listen(datagram, error = () => {}) {
      onDatagram = datagram;
      onError = error;
    },
    close() {
      if (open) socket.close();
      open = false;
    },
  };
}
