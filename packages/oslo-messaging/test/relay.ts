import { connect, createServer, type Socket } from 'node:net';

/** A TCP relay whose connections a test can cut or stall. */
export type Relay = {
  readonly port: number;
  /** Ends every connection now. */
  cut(): void;
  /** While true, bytes from the client are swallowed. */
  deaf: boolean;
  /** Becomes deaf with the first bytes from a client that have this text in them; ends then. They are swallowed, too. */
  deafFrom(text: string): Promise<void>;
  readonly connections: number;
  stop(): Promise<void>;
};

/** Relays 127.0.0.1:<free port> to `target`. */
export async function startRelay(target: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let count = 0;
  let awaited: { readonly text: string; readonly met: () => void } | undefined;
  const server = createServer((client) => {
    count++;
    const broker = connect(target, '127.0.0.1');
    const end = () => {
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on('data', (chunk) => {
      if (awaited !== undefined && chunk.includes(awaited.text)) {
        relay.deaf = true;
        awaited.met();
        awaited = undefined;
      }
      if (!relay.deaf) broker.write(chunk);
    });
    broker.on('data', (chunk) => void client.write(chunk));
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const relay: Relay = {
    port: address.port,
    cut,
    deaf: false,
    deafFrom: (text) =>
      new Promise((met) => {
        awaited = { text, met };
      }),
    get connections() {
      return count;
    },
    async stop() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      cut();
      await closed.promise;
    },
  };
  return relay;
}
