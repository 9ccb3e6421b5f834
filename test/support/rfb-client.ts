/** A client of a remote framebuffer (RFC 6143, version 3.8) as far as tests need one: it shakes hands and asks for a picture. */

/** The bytes to and from a screen. */
export interface RfbWire {
  send(bytes: Uint8Array): void;
  /** Next bytes, however many; null when there are no more. */
  next(): Promise<Uint8Array | null>;
}

/** What a screen said of itself, and a look at it. */
export interface RfbScreen {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** Asks for the whole picture; answers its pixels, 32 bits each as the screen has them. */
  picture(): Promise<Buffer>;
}

/** Opens a screen. @throws Error where the other end says something else */
export async function openScreen(wire: RfbWire): Promise<RfbScreen> {
  let held = Buffer.alloc(0);
  async function read(bytes: number): Promise<Buffer> {
    while (held.length < bytes) {
      const more = await wire.next();
      if (more === null) throw new Error(`the screen ended; it had ${held.length} of ${bytes} bytes left`);
      held = Buffer.concat([held, more]);
    }
    const wanted = held.subarray(0, bytes);
    held = held.subarray(bytes);
    return wanted;
  }
  const expect = (what: string, got: Buffer, wanted: string): void => {
    if (got.toString('latin1') !== wanted) throw new Error(`${what}: ${JSON.stringify(got.toString('latin1'))}`);
  };

  expect('version', await read(12), 'RFB 003.008\n');
  wire.send(Buffer.from('RFB 003.008\n'));
  const types = await read((await read(1)).readUInt8());
  if (!types.includes(1)) throw new Error(`security types ${[...types]}`);
  wire.send(Uint8Array.of(1));
  expect('security result', await read(4), '\0\0\0\0');
  wire.send(Uint8Array.of(1));
  const init = await read(24);
  const [width, height, nameBytes] = [init.readUInt16BE(0), init.readUInt16BE(2), init.readUInt32BE(20)];
  const name = (await read(nameBytes)).toString();

  return {
    name,
    width,
    height,
    async picture() {
      const request = Buffer.alloc(10);
      request.writeUInt8(3);
      request.writeUInt16BE(width, 6);
      request.writeUInt16BE(height, 8);
      wire.send(request);
      const head = await read(4);
      if (head[0] !== 0) throw new Error(`message ${head[0]}`);
      const rectangle = await read(12);
      if (rectangle.readInt32BE(8) !== 0) throw new Error('another encoding than raw');
      return Buffer.from(await read(rectangle.readUInt16BE(4) * rectangle.readUInt16BE(6) * 4));
    },
  };
}

/** The bytes of a stream, such as a socket. */
export function wireOf(stream: NodeJS.ReadWriteStream & AsyncIterable<string | Buffer>): RfbWire {
  const chunks = stream[Symbol.asyncIterator]();
  return {
    send: (bytes) => void stream.write(bytes),
    async next() {
      const { done, value } = await chunks.next();
      return done === true ? null : Buffer.from(value);
    },
  };
}
