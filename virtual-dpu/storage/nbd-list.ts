import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { GREETING, OPT, option, REP, REPLY_HEAD, REPLY_MAGIC, SERVER_MAGIC } from './nbd-wire.ts';

/** One line of a server's list. */
export interface ListedExport {
  readonly name: string;
  readonly description: string;
}

/** A connection that only asks what there is. */
export interface ListClient {
  list(): Promise<readonly ListedExport[]>;
  /** Resolves when the list is another than that of this generation; rejects when the server has gone. */
  changed(since: string): Promise<void>;
  close(): void;
}

/** The longest reply that is read. */
const MAX_REPLY = 64 * 1024;

/** How long a server may take to greet and to list. */
const TIMEOUT_MS = 5000;

/** Connects to an NBD server. @throws the socket's error, or when it is no NBD server */
export async function openList(host: string, port: number): Promise<ListClient> {
  const socket = connect({ host, port, noDelay: true });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('the server does not answer')));
  await once(socket, 'connect');
  socket.on('error', () => socket.destroy()); // the reader below is told
  const read = reader(socket);
  const greeting = await read(GREETING);
  if (greeting.readBigUInt64BE(0) !== SERVER_MAGIC) throw new Error('no NBD server');
  socket.write(Buffer.from([0, 0, 0, 3])); // fixed newstyle, no zeroes (proto.md, "Client flags")
  const ask = async (number: number, data?: Buffer): Promise<readonly Buffer[]> => {
    socket.write(option(number, data));
    const answers: Buffer[] = [];
    for (;;) {
      const head = await read(REPLY_HEAD);
      const [type, length] = [head.readUInt32BE(12), head.readUInt32BE(16)];
      if (head.readBigUInt64BE(0) !== REPLY_MAGIC || length > MAX_REPLY) throw new Error('not a reply');
      const text = await read(length);
      if (type === REP.ack) return answers;
      if (type !== REP.server) throw new Error('the server refuses');
      answers.push(text);
    }
  };
  return {
    async list() {
      socket.setTimeout(TIMEOUT_MS);
      return (await ask(OPT.list)).map((each) => {
        const end = 4 + each.readUInt32BE(0);
        return { name: each.subarray(4, end).toString(), description: each.subarray(end).toString() };
      });
    },
    async changed(since) {
      socket.setTimeout(0);
      await ask(OPT.awaitChange, Buffer.from(since));
    },
    close: () => socket.destroy(),
  };
}

function reader(socket: Socket): (length: number) => Promise<Buffer> {
  let held = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    wake?.();
  });
  socket.on('close', () => wake?.());
  return async (length) => {
    while (held.length < length) {
      if (socket.destroyed) throw new Error('the server has gone');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const taken = held.subarray(0, length);
    held = held.subarray(length);
    return taken;
  };
}
