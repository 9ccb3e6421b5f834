import { ByteReader } from './byte-reader.ts';
import type { CipherSuite } from './cipher-suites.ts';
import type { RakpContext } from './rakp.ts';

/** What the BMC said of its channel before any session (IPMI 2.0 22.13). */
export type ChannelAuthCapabilities = {
  readonly channel: number;
  /** It speaks IPMI 2.0 RMCP+ here. */
  readonly rmcpPlus: boolean;
  /** It has a K_G of its own, so that sessions need `bmcKey`. */
  readonly needsBmcKey: boolean;
  readonly anonymousLogin: boolean;
  readonly nullUsernames: boolean;
  readonly namedUsers: boolean;
};

/** Data of Get Channel Authentication Capabilities for this channel, asking for the IPMI 2.0 part (22.13). */
export const authCapabilitiesData = (privilege: number): readonly number[] => [0x8e, privilege];

/** @throws `malformed` */
export function decodeAuthCapabilities(data: Buffer): ChannelAuthCapabilities {
  const reader = new ByteReader(data, 'Get Channel Authentication Capabilities');
  const channel = reader.u8() & 0x0f;
  const types = reader.u8();
  const status = reader.u8();
  const extended = reader.left > 0 ? reader.u8() : 0;
  return {
    channel,
    rmcpPlus: (types & 0x80) !== 0 && (extended & 0x02) !== 0,
    needsBmcKey: (status & 0x20) !== 0,
    anonymousLogin: (status & 0x01) !== 0,
    nullUsernames: (status & 0x02) !== 0,
    namedUsers: (status & 0x04) !== 0,
  };
}

/** RMCP+ Open Session Request, proposing one algorithm of each kind (13.17). */
export function encodeOpenSession(
  tag: number,
  privilege: number,
  consoleSessionId: number,
  suite: CipherSuite,
): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt8(tag, 0);
  bytes.writeUInt8(privilege, 1);
  bytes.writeUInt32LE(consoleSessionId, 4);
  for (const [at, number] of [suite.authentication, suite.integrity, suite.confidentiality].entries()) {
    bytes.writeUInt8(at, 8 + 8 * at);
    bytes.writeUInt8(8, 11 + 8 * at);
    bytes.writeUInt8(number, 12 + 8 * at);
  }
  return bytes;
}

/** An answer of session setup: refused with a status, or the rest of the message. */
export type SetupAnswer =
  | { readonly tag: number; readonly status: 0; readonly consoleSessionId: number; readonly rest: Buffer }
  | { readonly tag: number; readonly status: number; readonly consoleSessionId?: undefined; readonly rest?: undefined };

/**
 * The common front of Open Session Response, RAKP 2 and RAKP 4 (13.18, 13.21, 13.23). A refusal may end after its status, as
 * OpenIPMI's does. Undefined when it is cut short.
 */
export function decodeSetupAnswer(payload: Buffer): SetupAnswer | undefined {
  if (payload.length < 2) return undefined;
  const tag = payload.readUInt8(0);
  const status = payload.readUInt8(1);
  if (status !== 0) return { tag, status };
  if (payload.length < 8) return undefined;
  return { tag, status, consoleSessionId: payload.readUInt32LE(4), rest: payload.subarray(8) };
}

/** What an accepted Open Session Response says after the console's session id (13.18). */
export type OpenedSession = { readonly bmcSessionId: number; readonly algorithms: readonly [number, number, number] };

/** @throws `malformed` */
export function decodeOpenedSession(rest: Buffer): OpenedSession {
  const reader = new ByteReader(rest, 'RMCP+ Open Session Response');
  const bmcSessionId = reader.u32();
  const algorithm = (): number => reader.bytes(8).readUInt8(4) & 0x3f;
  return { bmcSessionId, algorithms: [algorithm(), algorithm(), algorithm()] };
}

/** RAKP Message 1 (13.20). */
export function encodeRakp1(
  tag: number,
  rakp: Pick<RakpContext, 'bmcSessionId' | 'consoleRandom' | 'role' | 'username'>,
): Buffer {
  const bytes = Buffer.alloc(28 + rakp.username.length);
  bytes.writeUInt8(tag, 0);
  bytes.writeUInt32LE(rakp.bmcSessionId, 4);
  bytes.set(rakp.consoleRandom, 8);
  bytes.writeUInt8(rakp.role, 24);
  bytes.writeUInt8(rakp.username.length, 27);
  bytes.set(rakp.username, 28);
  return bytes;
}

/** What an accepted RAKP Message 2 says after the console's session id (13.21). */
export type Rakp2 = { readonly bmcRandom: Buffer; readonly bmcGuid: Buffer; readonly code: Buffer };

/** @throws `malformed` */
export function decodeRakp2(rest: Buffer): Rakp2 {
  const reader = new ByteReader(rest, 'RAKP Message 2');
  return { bmcRandom: reader.bytes(16), bmcGuid: reader.bytes(16), code: reader.rest() };
}

/** RAKP Message 3 (13.22); with a status other than 0 it tells the BMC to forget the session, and holds no code. */
export function encodeRakp3(tag: number, status: number, bmcSessionId: number, code: Uint8Array): Buffer {
  const bytes = Buffer.alloc(8 + code.length);
  bytes.writeUInt8(tag, 0);
  bytes.writeUInt8(status, 1);
  bytes.writeUInt32LE(bmcSessionId, 4);
  bytes.set(code, 8);
  return bytes;
}
