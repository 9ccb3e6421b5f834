/** Numbers and shapes of the NBD protocol (NetworkBlockDevice/nbd doc/proto.md), and two options of our own. */

/** `IHAVEOPT`: before each option of the client. */
export const OPTION_MAGIC = 0x49484156454f5054n;
/** `NBDMAGIC`: the first of the server's bytes. */
export const SERVER_MAGIC = 0x4e42444d41474943n;
export const REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;

/** Length of an option's head: magic, option, length of its data. */
export const OPTION_HEAD = 16;
/** Length of a request: magic, flags, type, handle, offset, length. */
export const REQUEST_HEAD = 28;
/** Length of a reply to an option: magic, option, type, length of its data. */
export const REPLY_HEAD = 20;
/** The server's greeting: two magics and its flags. */
export const GREETING = 18;

export const OPT = {
  exportName: 1,
  list: 3,
  info: 6,
  go: 7,
  listMetaContext: 9,
  setMetaContext: 10,
  /** Ours, `vdAE`: answered (once) when what is listed has changed, as NVMe's asynchronous event request is. */
  awaitChange: 0x76644145,
} as const;

export const REP = { ack: 1, server: 2, errUnsupported: 0x80000001, errUnknown: 0x80000006 } as const;

export const CMD = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;

/** One reply to an option. */
export function reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(REPLY_HEAD);
  head.writeBigUInt64BE(REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

/** One option. */
export function option(number: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(OPTION_HEAD);
  head.writeBigUInt64BE(OPTION_MAGIC, 0);
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

/** A string as most options hold it: its length, then its bytes. */
export function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
