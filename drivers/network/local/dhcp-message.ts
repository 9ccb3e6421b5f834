/** DHCP on the wire: RFC 2131 figure 1, options of RFC 2132, classless routes of RFC 3442. */

/** Message types (RFC 2132 9.6). */
export const messageTypes = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

/** Option numbers (RFC 2132, RFC 3442). */
export const options = {
  mask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  mtu: 26,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverId: 54,
  renewalTime: 58,
  rebindingTime: 59,
  classlessRoutes: 121,
  end: 255,
  pad: 0,
} as const;

/** A message of a client, as far as we look at it. */
export interface DhcpRequest {
  readonly type: number;
  /** The client's own address where it has one, else 0.0.0.0. */
  readonly clientAddress: string;
  readonly relayAddress: string;
  /** MAC, lower case with colons. */
  readonly mac: string;
  readonly requestedAddress: string | null;
  readonly serverId: string | null;
  /** It wants the answer by broadcast (RFC 2131 4.1). */
  readonly broadcast: boolean;
  /** The first 28 bytes up to `chaddr`, which an answer repeats. */
  readonly head: Buffer;
}

/** What an answer says. */
export interface DhcpReply {
  readonly type: number;
  /** `yiaddr`. */
  readonly address: string;
  readonly options: ReadonlyMap<number, Buffer>;
}

const at = { op: 0, hardware: 1, flags: 10, ciaddr: 12, yiaddr: 16, giaddr: 24, chaddr: 28, cookie: 236, options: 240 };
const cookie = 0x63825363;
/** A BOOTP client may drop anything shorter (RFC 1542 2.1). */
const leastBytes = 300;

/** Reads a message of a client; null for what is none. */
export function parseRequest(message: Buffer): DhcpRequest | null {
  if (message.length < at.options || message.length > 1500) return null;
  if (message[at.op] !== 1 || message[at.hardware] !== 1 || message[at.hardware + 1] !== 6) return null;
  if (message.readUInt32BE(at.cookie) !== cookie) return null;
  const found = parseOptions(message.subarray(at.options));
  const type = found?.get(options.messageType);
  if (!found || type?.length !== 1) return null;
  const address = (option: number): string | null => {
    const value = found.get(option);
    return value?.length === 4 ? ipv4(value) : null;
  };
  return {
    type: type[0] ?? 0,
    clientAddress: ipv4(message.subarray(at.ciaddr)),
    relayAddress: ipv4(message.subarray(at.giaddr)),
    mac: [...message.subarray(at.chaddr, at.chaddr + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    requestedAddress: address(options.requestedAddress),
    serverId: address(options.serverId),
    broadcast: (message.readUInt16BE(at.flags) & 0x8000) !== 0,
    head: Buffer.from(message.subarray(0, at.chaddr + 16)),
  };
}

function parseOptions(bytes: Buffer): ReadonlyMap<number, Buffer> | null {
  const found = new Map<number, Buffer>();
  for (let index = 0; index < bytes.length; ) {
    const code = bytes[index] ?? options.end;
    if (code === options.end) return found;
    index += 1;
    if (code === options.pad) continue;
    const length = bytes[index];
    if (length === undefined || index + 1 + length > bytes.length) return null;
    const value = bytes.subarray(index + 1, index + 1 + length);
    // an option that comes twice is one long one (RFC 3396 5)
    found.set(code, Buffer.concat([found.get(code) ?? Buffer.alloc(0), value]));
    index += 1 + length;
  }
  return found;
}

/** Writes an answer to a message. */
export function formatReply(to: DhcpRequest, reply: DhcpReply): Buffer {
  const fixed = Buffer.alloc(at.options);
  to.head.copy(fixed);
  fixed[at.op] = 2;
  fixed.fill(0, at.yiaddr, at.giaddr); // yiaddr and siaddr
  packIpv4(reply.address).copy(fixed, at.yiaddr);
  fixed.writeUInt32BE(cookie, at.cookie);
  const all = new Map([[options.messageType as number, Buffer.of(reply.type)], ...reply.options]);
  const parts = [...all].flatMap(([code, value]) => [Buffer.of(code, value.length), value]);
  const message = Buffer.concat([fixed, ...parts, Buffer.of(options.end)]);
  return message.length >= leastBytes ? message : Buffer.concat([message, Buffer.alloc(leastBytes - message.length)]);
}

/** Four bytes as text. */
export function ipv4(bytes: Uint8Array): string {
  return [...bytes.subarray(0, 4)].join('.');
}

/** Text as four bytes; the configuration was checked before. */
export function packIpv4(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}
