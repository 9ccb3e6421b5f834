import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import { hmac, type SessionKeys } from './rakp.ts';

/** Payload types of RMCP+ (IPMI 2.0 table 13-16). */
export const PAYLOAD = {
  ipmi: 0x00,
  sol: 0x01,
  openSessionRequest: 0x10,
  openSessionResponse: 0x11,
  rakp1: 0x12,
  rakp2: 0x13,
  rakp3: 0x14,
  rakp4: 0x15,
} as const;

/** One RMCP+ payload with its session header (13.6). Outside of a session both numbers are 0. */
export type Packet = {
  readonly payloadType: number;
  readonly sessionId: number;
  readonly sequence: number;
  readonly payload: Buffer;
};

/** RMCP: version 1.0, reserved, sequence FFh (no RMCP ack), class IPMI (13.1.3). */
const RMCP = Buffer.from([0x06, 0x00, 0xff, 0x07]);
const RMCP_PLUS = 0x06;
const HEADER = 16;
const ENCRYPTED = 0x80;
const AUTHENTICATED = 0x40;
const BLOCK = 16;

/** Longest datagram that is looked at; SOL and IPMI messages stay far below. */
export const MAX_DATAGRAM = 4096;

/** An IPMI message outside of any session, in the IPMI 1.5 format (13.6, table 13-8; 13.13 says that it is used before a session). */
export function encodePlain(message: Uint8Array): Buffer {
  return Buffer.concat([RMCP, Buffer.alloc(9), Buffer.of(message.length), message]);
}

/** The message of an unauthenticated IPMI 1.5 packet outside of a session, or undefined when the datagram is none. */
export function decodePlain(datagram: Buffer): Buffer | undefined {
  if (datagram.length < 14 || datagram.length > MAX_DATAGRAM || !isIpmi(datagram)) return undefined;
  if (datagram[4] !== 0 || datagram.readUInt32LE(9) !== 0) return undefined;
  const end = 14 + datagram.readUInt8(13);
  return end > datagram.length ? undefined : datagram.subarray(14, end);
}

/** A payload of session setup, in the clear (13.6). */
export function encodeSetup(payloadType: number, payload: Uint8Array): Buffer {
  return Buffer.concat([header({ payloadType, sessionId: 0, sequence: 0 }, payload.length), payload]);
}

/** The payload of session setup that a datagram holds, or undefined when it holds none. */
export function decodeSetup(datagram: Buffer): Packet | undefined {
  const packet = split(datagram);
  return packet === undefined || packet.flags !== 0 || packet.sessionId !== 0 ? undefined : packet;
}

/** A packet inside a session: encrypted (13.29) and signed over everything from AuthType on (13.28.4). `iv` is for tests. */
export function protect(keys: SessionKeys, packet: Packet, iv: Uint8Array = randomBytes(BLOCK)): Buffer {
  const sealed = Buffer.concat([iv, encrypt(keys, packet.payload, iv)]);
  const flagged = { ...packet, payloadType: packet.payloadType | ENCRYPTED | AUTHENTICATED };
  const head = header(flagged, sealed.length);
  const pad = (4 - ((head.length - RMCP.length + sealed.length + 2) % 4)) % 4;
  const whole = Buffer.concat([head, sealed, Buffer.alloc(pad, 0xff), Buffer.of(pad, 0x07)]);
  return Buffer.concat([whole, mac(keys, whole)]);
}

/**
 * The packet that a datagram holds, its AuthCode checked before anything else of it is used. Undefined when it is not one of
 * this session: garbage, cut short, unsigned, not encrypted, or signed with another key.
 */
export function unprotect(keys: SessionKeys, sessionId: number, datagram: Buffer): Packet | undefined {
  const packet = split(datagram);
  if (packet === undefined || packet.flags !== (ENCRYPTED | AUTHENTICATED) || packet.sessionId !== sessionId)
    return undefined;
  const end = datagram.length - keys.suite.macBytes;
  const trailer = end - HEADER - packet.payload.length;
  if (trailer < 2 || !timingSafeEqual(datagram.subarray(end), mac(keys, datagram.subarray(0, end)))) return undefined;
  const payload = decrypt(keys, packet.payload);
  return payload === undefined ? undefined : { ...packet, payload };
}

const isIpmi = (datagram: Buffer): boolean => datagram[0] === RMCP[0] && (datagram.readUInt8(3) & 0x9f) === 0x07;

function header(packet: Omit<Packet, 'payload'>, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER);
  RMCP.copy(bytes);
  bytes.writeUInt8(RMCP_PLUS, 4);
  bytes.writeUInt8(packet.payloadType, 5);
  bytes.writeUInt32LE(packet.sessionId, 6);
  bytes.writeUInt32LE(packet.sequence, 10);
  bytes.writeUInt16LE(length, 14);
  return bytes;
}

function split(datagram: Buffer): (Packet & { readonly flags: number }) | undefined {
  if (datagram.length < HEADER || datagram.length > MAX_DATAGRAM) return undefined;
  if (!isIpmi(datagram) || datagram[4] !== RMCP_PLUS) return undefined;
  const type = datagram.readUInt8(5);
  const payloadType = type & 0x3f;
  const end = HEADER + datagram.readUInt16LE(14);
  // Type 02h has six more bytes of header (OEM explicit); we ask for none.
  if (payloadType === 0x02 || end > datagram.length) return undefined;
  return {
    flags: type & (ENCRYPTED | AUTHENTICATED),
    payloadType,
    sessionId: datagram.readUInt32LE(6),
    sequence: datagram.readUInt32LE(10),
    payload: datagram.subarray(HEADER, end),
  };
}

function mac(keys: SessionKeys, whole: Buffer): Buffer {
  return hmac(keys.suite, keys.k1, whole.subarray(RMCP.length)).subarray(0, keys.suite.macBytes);
}

const aesKey = (keys: SessionKeys): Uint8Array => keys.k2.subarray(0, 16);

/** Pads with 01h 02h … and the count (13.29.2), then AES-CBC-128 (13.29.1). */
function encrypt(keys: SessionKeys, payload: Uint8Array, iv: Uint8Array): Buffer {
  const pad = (BLOCK - ((payload.length + 1) % BLOCK)) % BLOCK;
  const cipher = createCipheriv('aes-128-cbc', aesKey(keys), iv).setAutoPadding(false);
  const tail = Buffer.from([...Array.from({ length: pad }, (_, at) => at + 1), pad]);
  return Buffer.concat([cipher.update(payload), cipher.update(tail), cipher.final()]);
}

function decrypt(keys: SessionKeys, sealed: Buffer): Buffer | undefined {
  if (sealed.length < 2 * BLOCK || sealed.length % BLOCK !== 0) return undefined;
  const cipher = createDecipheriv('aes-128-cbc', aesKey(keys), sealed.subarray(0, BLOCK)).setAutoPadding(false);
  const clear = Buffer.concat([cipher.update(sealed.subarray(BLOCK)), cipher.final()]);
  const pad = clear.readUInt8(clear.length - 1);
  if (pad >= BLOCK) return undefined;
  const length = clear.length - 1 - pad;
  for (let at = 0; at < pad; at += 1) if (clear[length + at] !== at + 1) return undefined;
  return clear.subarray(0, length);
}
