import { IpmiCipherError } from './errors.ts';

/** Cipher suites this package speaks (IPMI 2.0 table 22-20). All others lack authentication, integrity or a sound cipher. */
export type CipherSuiteId = 3 | 17;

/** The algorithms of a suite, and how many bytes of its HMAC go on the wire (13.28). */
export type CipherSuite = {
  readonly id: CipherSuiteId;
  /** RAKP authentication algorithm number (table 13-17). */
  readonly authentication: number;
  /** Integrity algorithm number (table 13-18). */
  readonly integrity: number;
  /** Confidentiality algorithm number (table 13-19); 1 is AES-CBC-128. */
  readonly confidentiality: number;
  readonly hash: 'sha1' | 'sha256';
  /** Bytes of the whole HMAC: the key exchange codes of RAKP 2 and 3. */
  readonly hashBytes: number;
  /** Bytes of the truncated HMAC: RAKP 4 and the packets' AuthCode. */
  readonly macBytes: number;
};

const SUITES: Readonly<Record<CipherSuiteId, CipherSuite>> = {
  3: { id: 3, authentication: 1, integrity: 1, confidentiality: 1, hash: 'sha1', hashBytes: 20, macBytes: 12 },
  17: { id: 17, authentication: 3, integrity: 4, confidentiality: 1, hash: 'sha256', hashBytes: 32, macBytes: 16 },
};

/**
 * The suite of that number.
 * @throws `bad-cipher-suite` for any but 3 and 17. Suite 0 in particular lets anybody in.
 */
export function cipherSuite(id: number): CipherSuite {
  if (id === 3 || id === 17) return SUITES[id];
  throw new IpmiCipherError('bad-cipher-suite', `cipher suite ${id} is refused: only 3 and 17 are spoken`);
}
