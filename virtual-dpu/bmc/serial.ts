/** The host's serial line, which takes one client, for many. */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What a reader that does not read may cost. */
const MAX_BACKLOG_BYTES = 1 << 20;
const RECONNECT_MS = 200;

/** A multiplexer that runs. */
export interface SerialHub {
  close(): Promise<void>;
}

/**
 * Opens the host's serial socket and keeps it open across QEMU's restarts; whoever connects to `listenPath` reads what the host writes from then
 * on, and writes to it.
 */
export async function openSerialHub(hostPath: string, listenPath: string): Promise<SerialHub> {
  const clients = new Set<Socket>();
  let host: Socket | undefined;
  let closed = false;
  let again: NodeJS.Timeout | undefined;

  function connectHost(): void {
    const socket = connect(hostPath);
    socket.on('connect', () => {
      host = socket;
    });
    socket.on('data', (chunk) => {
      for (const client of clients) {
        if (client.writableLength > MAX_BACKLOG_BYTES) client.destroy();
        else client.write(chunk);
      }
    });
    socket.on('error', () => {}); // `close` follows.
    socket.on('close', () => {
      host = undefined;
      if (!closed) again = setTimeout(connectHost, RECONNECT_MS);
    });
  }
  const server: Server = createServer((client) => {
    clients.add(client);
    client.on('data', (chunk) => host?.write(chunk));
    client.on('error', () => {}); // `close` follows.
    client.on('close', () => clients.delete(client));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listenPath, resolve);
  });
  connectHost();
  return {
    async close() {
      closed = true;
      clearTimeout(again);
      host?.destroy();
      for (const client of clients) client.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
