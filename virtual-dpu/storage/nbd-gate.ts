import { connect, createServer, type Server, type Socket } from 'node:net';
import {
  CMD,
  counted,
  OPT,
  OPTION_HEAD,
  OPTION_MAGIC,
  option,
  REP,
  REQUEST_HEAD,
  REQUEST_MAGIC,
  reply,
} from './nbd-wire.ts';

/** One of the storage daemon's exports as clients of a gate see it. */
export interface GateExport {
  /** Its name at the storage daemon. */
  readonly backend: string;
  /** Not null while it is away for a moment: a client that asks for it waits. */
  readonly hold: Promise<void> | null;
  /** The connections that have chosen it. */
  readonly sessions: Set<GateSession>;
  /** A request of a client passed. */
  readonly count: (command: number, bytes: number) => void;
}

/** A client's connection. */
export interface GateSession {
  /** The lowest number that no other connection to this gate has. */
  vid: number;
  /** Breaks it; resolves when both sides are closed. */
  end(): Promise<void>;
}

/** What a gate lets in. */
export interface GateRules {
  /** The export of a name that a client asks for. */
  readonly resolve: (name: string) => GateExport | undefined;
  /** What a client is told when it asks for a list. */
  readonly list: () => readonly { readonly name: string; readonly description: string }[];
  /** Settles when the list is another than that of a generation; without it the option is refused. */
  readonly changed?: (since: string) => Promise<void>;
}

/** An NBD server that passes on to that of the storage daemon. */
export interface Gate {
  close(): Promise<void>;
}

/** Longest option of a client; a name has at most 4,096 bytes (proto.md, "String values"). */
const MAX_OPTION = 64 * 1024;

/**
 * Listens for NBD clients and connects each to the storage daemon's NBD server. It reads what the clients say, and so knows what the storage
 * daemon does not tell: who is connected to which export, and how much was read and written. A client sees only what `rules` name.
 */
export async function openGate(
  address: { readonly path: string } | { readonly host: string; readonly port: number },
  backend: string,
  rules: GateRules,
): Promise<Gate> {
  const open = new Set<Socket>();
  const taken = new Set<GateSession>();
  const server: Server = createServer({ pauseOnConnect: true, noDelay: true }, (client) => {
    open.add(client);
    client.once('close', () => open.delete(client));
    pass(client, backend, rules, taken);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(address, resolve);
  await promise;
  return {
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      for (const client of open) client.destroy();
      await closed.promise;
    },
  };
}

function pass(client: Socket, backendPath: string, rules: GateRules, taken: Set<GateSession>): void {
  const backend = connect(backendPath);
  const gone = [client, backend].map((each) => {
    each.on('error', () => each.destroy()); // a broken connection is told by its end
    return new Promise<void>((resolve) => each.once('close', () => resolve()));
  });
  const end = () => {
    client.destroy();
    backend.destroy();
  };
  client.once('close', end);
  backend.once('close', end);
  backend.pipe(client);
  const session: GateSession = {
    vid: 0,
    async end() {
      end();
      await Promise.all(gone);
    },
  };
  void converse(client, backend, rules, session, taken).catch(end); // whatever breaks a conversation ends it
}

/** Reads all that a client says, to its end. */
async function converse(
  client: Socket,
  backend: Socket,
  rules: GateRules,
  session: GateSession,
  taken: Set<GateSession>,
): Promise<void> {
  const input = new Input(client);
  backend.write(await input.take(4)); // the client's flags
  let chosen: GateExport | undefined;
  try {
    while (!client.destroyed) {
      const magic = (await input.peek(4)).readUInt32BE(0);
      if (magic === REQUEST_MAGIC && chosen !== undefined) return await transmit(input, backend, chosen);
      leave();
      chosen = await haggle(input, client, backend, rules);
      if (chosen === undefined) continue;
      session.vid = lowestFree(taken);
      taken.add(session);
      chosen.sessions.add(session);
    }
  } finally {
    leave();
  }

  function leave(): void {
    chosen?.sessions.delete(session);
    taken.delete(session);
  }
}

function lowestFree(taken: ReadonlySet<GateSession>): number {
  const used = new Set([...taken].map((each) => each.vid));
  let vid = 0;
  while (used.has(vid)) vid += 1;
  return vid;
}

/** Passes one option on, or answers it; answers the export that was chosen by it. */
async function haggle(
  input: Input,
  client: Socket,
  backend: Socket,
  rules: GateRules,
): Promise<GateExport | undefined> {
  const head = await input.take(OPTION_HEAD);
  const number = head.readUInt32BE(8);
  const length = head.readUInt32BE(12);
  if (head.readBigUInt64BE(0) !== OPTION_MAGIC || length > MAX_OPTION) throw new Error('not an option');
  const data = await input.take(length);
  switch (number) {
    case OPT.list:
      for (const { name, description } of rules.list()) {
        client.write(reply(number, REP.server, Buffer.concat([counted(name), Buffer.from(description)])));
      }
      client.write(reply(number, REP.ack));
      return undefined;
    case OPT.awaitChange:
      if (rules.changed === undefined) client.write(reply(number, REP.errUnsupported));
      else {
        await Promise.race([rules.changed(data.toString()), input.ended]);
        client.write(reply(number, REP.ack));
      }
      return undefined;
    case OPT.exportName: {
      const found = await lookUp(rules, data.toString());
      if (found === undefined) throw new Error('no such export'); // this option has no way to say so (proto.md)
      backend.write(option(number, Buffer.from(found.backend)));
      return found;
    }
    case OPT.info:
    case OPT.go:
    case OPT.listMetaContext:
    case OPT.setMetaContext: {
      const end = 4 + (data.length < 4 ? 0 : data.readUInt32BE(0));
      if (end > data.length || data.length < 4) throw new Error('not a name');
      const found = await lookUp(rules, data.subarray(4, end).toString());
      if (found === undefined) client.write(reply(number, REP.errUnknown));
      else backend.write(option(number, Buffer.concat([counted(found.backend), data.subarray(end)])));
      return number === OPT.go ? found : undefined;
    }
    default:
      backend.write(option(number, data));
      return undefined;
  }
}

async function lookUp(rules: GateRules, name: string): Promise<GateExport | undefined> {
  for (;;) {
    const found = rules.resolve(name);
    if (found === undefined || found.hold === null) return found;
    await found.hold;
  }
}

/** Passes requests on as they come, and counts them; nothing else may follow. */
async function transmit(input: Input, backend: Socket, chosen: GateExport): Promise<void> {
  let head: Buffer = Buffer.alloc(0);
  let data = 0;
  for (;;) {
    const chunk = await input.takeSome();
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(data, chunk.length - at);
      data -= skipped;
      at += skipped;
      const wanted = chunk.subarray(at, at + REQUEST_HEAD - head.length);
      if (wanted.length === 0) break;
      head = head.length === 0 && wanted.length === REQUEST_HEAD ? wanted : Buffer.concat([head, wanted]);
      at += wanted.length;
      if (head.length < REQUEST_HEAD) break;
      if (head.readUInt32BE(0) !== REQUEST_MAGIC) throw new Error('not a request');
      const command = head.readUInt16BE(6);
      const bytes = head.readUInt32BE(24);
      if (command === CMD.write) data = bytes;
      chosen.count(command, bytes);
      head = Buffer.alloc(0);
    }
    if (!backend.write(chunk)) await drained(backend);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

/** What a socket says, taken in the pieces that are asked for. */
class Input {
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #over = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const over = () => {
      this.#over = true;
      resolve();
      this.#wake?.();
    };
    socket.on('end', over);
    socket.on('close', over);
    socket.on('data', (chunk: Buffer) => {
      this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
      if (this.#buffer.length > MAX_OPTION) socket.pause();
      this.#wake?.();
    });
    socket.resume();
  }

  /** The next bytes, which stay. @throws when there are no more */
  async peek(length: number): Promise<Buffer> {
    while (this.#buffer.length < length) await this.#more();
    return this.#buffer.subarray(0, length);
  }

  /** The next bytes. @throws as `peek` */
  async take(length: number): Promise<Buffer> {
    const taken = await this.peek(length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  /** All that is there, at least one byte. @throws as `peek` */
  async takeSome(): Promise<Buffer> {
    await this.peek(1);
    return this.take(this.#buffer.length);
  }

  async #more(): Promise<void> {
    if (this.#over) throw new Error('the client has gone');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    this.#socket.resume();
    await promise;
    this.#wake = undefined;
  }
}
