import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { JsonStream } from '../src/index.ts';

/** Stands between a client and a server and spoils what the test asks for. */
export type Relay = {
  readonly address: string;
  /** Requests of these methods are answered `unknown method`, as an older server would. */
  readonly unknown: Set<string>;
  /** Answers to these methods are held back until `release`. */
  readonly held: Set<string>;
  release(): void;
  /** The client's messages so far. */
  readonly seen: { readonly method?: string; readonly params?: readonly unknown[]; readonly id?: unknown }[];
  /** Pieces of this many bytes go to the client; 0 is as they come. */
  pieces: number;
  /** Nothing goes to the client any more, the connection stays. */
  mute: boolean;
  /** Ends all connections. */
  cut(): void;
  /** Sends bytes to the client. */
  inject(bytes: string | Buffer): void;
  close(): Promise<void>;
};

type Message = { readonly method?: string; readonly params?: readonly unknown[]; readonly id?: unknown };

/** Starts a relay to a `unix:` address, or to nothing: then it only takes. */
export async function startRelay(target: string | undefined): Promise<Relay> {
  const dir = await mkdtemp(path.join(tmpdir(), 'relay-'));
  const file = path.join(dir, 'relay.sock');
  const clients = new Set<Socket>();
  const heldAnswers: (() => void)[] = [];
  const relay: Relay = {
    address: `unix:${file}`,
    unknown: new Set(),
    held: new Set(),
    seen: [],
    pieces: 0,
    mute: false,
    release: () => {
      relay.held.clear();
      for (const send of heldAnswers.splice(0)) send();
    },
    cut: () => {
      for (const client of clients) client.destroy();
    },
    inject: (bytes) => {
      for (const client of clients) client.write(bytes);
    },
    async close() {
      relay.cut();
      server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };

  const send = (client: Socket, message: unknown) => {
    if (relay.mute || client.destroyed) return;
    const bytes = Buffer.from(JSON.stringify(message));
    const size = relay.pieces === 0 ? bytes.length : relay.pieces;
    for (let i = 0; i < bytes.length; i += size) client.write(bytes.subarray(i, i + size));
  };

  const server = createServer((client) => {
    clients.add(client);
    client.setNoDelay(true);
    const heldIds = new Set<unknown>();
    const upstream = target === undefined ? undefined : connect(target.replace(/^unix:/, ''));
    const fromClient = new JsonStream();
    const fromServer = new JsonStream();
    client.on('data', (chunk) =>
      fromClient.push(chunk, (document) => {
        const message = document as Message;
        relay.seen.push(message);
        if (relay.unknown.has(message.method ?? '')) send(client, { id: message.id, error: 'unknown method' });
        else {
          if (relay.held.has(message.method ?? '')) heldIds.add(message.id);
          upstream?.write(JSON.stringify(document));
        }
      }),
    );
    upstream?.on('data', (chunk) =>
      fromServer.push(chunk, (document) => {
        const message = document as Message;
        if (message.method === undefined && heldIds.delete(message.id)) heldAnswers.push(() => send(client, document));
        else send(client, document);
      }),
    );
    const end = () => {
      clients.delete(client);
      client.destroy();
      upstream?.destroy();
    };
    for (const socket of [client, upstream]) {
      socket?.on('error', end);
      socket?.on('close', end);
    }
  });
  const listening = Promise.withResolvers<void>();
  server.listen(file, () => listening.resolve());
  await listening.promise;
  return relay;
}
