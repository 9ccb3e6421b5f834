import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

/**
 * The BMC's half of RMCP+ for the tests, written from the formulas of IPMI 2.0 13.28 to 13.32 and on purpose without a line of
 * the package's own: ipmitool as its client shows that it is right.
 */
export type PeerSuite = {
  readonly id: number;
  readonly algorithms: readonly [number, number, number];
  readonly hash: string;
  readonly mac: number;
};

/** Suites that the peer can play. */
export const PEER_SUITES: readonly PeerSuite[] = [
  { id: 3, algorithms: [1, 1, 1], hash: 'sha1', mac: 12 },
  { id: 17, algorithms: [3, 4, 1], hash: 'sha256', mac: 16 },
];

export type PeerKeys = { readonly suite: PeerSuite; readonly k1: Buffer; readonly aes: Buffer; readonly sik: Buffer };

/** Keyed hash over the concatenation. */
export function keyed(suite: PeerSuite, key: Buffer, ...parts: readonly Buffer[]): Buffer {
  return createHmac(suite.hash, key).update(Buffer.concat(parts)).digest();
}

/** SIK's children (13.32). */
export function keysOf(suite: PeerSuite, sik: Buffer): PeerKeys {
  const child = (byte: number) => keyed(suite, sik, Buffer.alloc(20, byte));
  return { suite, sik, k1: child(1), aes: child(2).subarray(0, 16) };
}

/** A packet of a session. */
export function seal(keys: PeerKeys, type: number, sessionId: number, sequence: number, payload: Buffer): Buffer {
  const iv = randomBytes(16);
  const pad = 15 - (payload.length % 16);
  const padded = Buffer.concat([payload, Buffer.from(Array.from({ length: pad }, (_, at) => at + 1)), Buffer.of(pad)]);
  const cipher = createCipheriv('aes-128-cbc', keys.aes, iv).setAutoPadding(false);
  const body = Buffer.concat([iv, cipher.update(padded), cipher.final()]);
  const head = Buffer.alloc(12);
  head[0] = 6;
  head[1] = 0xc0 | type;
  head.writeUInt32LE(sessionId, 2);
  head.writeUInt32LE(sequence, 6);
  head.writeUInt16LE(body.length, 10);
  let signed = Buffer.concat([head, body]);
  const fill = (4 - ((signed.length + 2) % 4)) % 4;
  signed = Buffer.concat([signed, Buffer.alloc(fill, 0xff), Buffer.of(fill, 7)]);
  const code = keyed(keys.suite, keys.k1, signed).subarray(0, keys.suite.mac);
  return Buffer.concat([Buffer.of(6, 0, 0xff, 7), signed, code]);
}

/** The payload of a packet, or undefined when its code is wrong. */
export function unseal(
  keys: PeerKeys,
  datagram: Buffer,
): { readonly type: number; readonly payload: Buffer } | undefined {
  const end = datagram.length - keys.suite.mac;
  const code = keyed(keys.suite, keys.k1, datagram.subarray(4, end)).subarray(0, keys.suite.mac);
  if (!code.equals(datagram.subarray(end))) return undefined;
  const body = datagram.subarray(16, 16 + datagram.readUInt16LE(14));
  const cipher = createDecipheriv('aes-128-cbc', keys.aes, body.subarray(0, 16)).setAutoPadding(false);
  const clear = Buffer.concat([cipher.update(body.subarray(16)), cipher.final()]);
  return { type: datagram.readUInt8(5) & 0x3f, payload: clear.subarray(0, clear.length - 1 - (clear.at(-1) ?? 0)) };
}
