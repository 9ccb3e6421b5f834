import { createHmac } from 'node:crypto';
import type { CipherSuite } from './cipher-suites.ts';

/** What both sides know of a session while it is set up: the fields that RAKP signs (IPMI 2.0 13.31). */
export type RakpContext = {
  readonly suite: CipherSuite;
  /** SID_M: the remote console's session id, chosen by us. */
  readonly consoleSessionId: number;
  /** SID_C: the managed system's session id. */
  readonly bmcSessionId: number;
  /** R_M, 16 bytes. */
  readonly consoleRandom: Uint8Array;
  /** R_C, 16 bytes. */
  readonly bmcRandom: Uint8Array;
  /** GUID_C, 16 bytes. */
  readonly bmcGuid: Uint8Array;
  /** ROLE_M as sent in RAKP 1: the requested level and the name-only bit. */
  readonly role: number;
  readonly username: Uint8Array;
};

/** The keys of a session (13.31, 13.32). */
export type SessionKeys = {
  readonly suite: CipherSuite;
  /** Session integrity key. */
  readonly sik: Uint8Array;
  /** Key of the packets' AuthCode. */
  readonly k1: Uint8Array;
  /** Its first 16 bytes are the AES key (13.29). */
  readonly k2: Uint8Array;
};

/** Keyed hash of a suite (RFC 2104). */
export function hmac(suite: CipherSuite, key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac(suite.hash, key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

const u8 = (value: number): Uint8Array => Uint8Array.of(value);

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const roleAndName = (rakp: RakpContext): readonly Uint8Array[] => [
  u8(rakp.role),
  u8(rakp.username.length),
  rakp.username,
];

/** RAKP 2's key exchange code: HMAC(K_UID, SID_M SID_C R_M R_C GUID_C ROLE_M ULENGTH_M UNAME_M) (13.31). */
export function rakp2Code(rakp: RakpContext, password: Uint8Array): Buffer {
  const ids = [u32(rakp.consoleSessionId), u32(rakp.bmcSessionId)];
  const fresh = [rakp.consoleRandom, rakp.bmcRandom, rakp.bmcGuid];
  return hmac(rakp.suite, password, ...ids, ...fresh, ...roleAndName(rakp));
}

/** RAKP 3's key exchange code: HMAC(K_UID, R_C SID_M ROLE_M ULENGTH_M UNAME_M) (13.31). */
export function rakp3Code(rakp: RakpContext, password: Uint8Array): Buffer {
  return hmac(rakp.suite, password, rakp.bmcRandom, u32(rakp.consoleSessionId), ...roleAndName(rakp));
}

/** RAKP 4's integrity check value: HMAC(SIK, R_M SID_C GUID_C), cut to the suite's length (13.31, 13.28.4). */
export function rakp4Check(rakp: RakpContext, sik: Uint8Array): Buffer {
  const whole = hmac(rakp.suite, sik, rakp.consoleRandom, u32(rakp.bmcSessionId), rakp.bmcGuid);
  return whole.subarray(0, rakp.suite.macBytes);
}

/**
 * SIK = HMAC(K_G, R_M R_C ROLE_M ULENGTH_M UNAME_M), K1 = HMAC(SIK, 20 times 01h), K2 = HMAC(SIK, 20 times 02h) (13.31, 13.32).
 * A BMC without a K_G of its own uses the user's password in its place (13.33).
 */
export function sessionKeys(rakp: RakpContext, bmcKey: Uint8Array): SessionKeys {
  const { suite } = rakp;
  const sik = hmac(suite, bmcKey, rakp.consoleRandom, rakp.bmcRandom, ...roleAndName(rakp));
  return {
    suite,
    sik,
    k1: hmac(suite, sik, new Uint8Array(20).fill(1)),
    k2: hmac(suite, sik, new Uint8Array(20).fill(2)),
  };
}
