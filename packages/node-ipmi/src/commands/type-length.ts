/** Text fields with a type/length byte: FRU areas (Platform Management FRU 1.3, 13) and SDR id strings (IPMI 2.0 43.15). */

/** How the bytes of a field were coded. */
export type TextEncoding = 'binary' | 'bcd-plus' | 'six-bit-ascii' | 'latin-1' | 'unicode';

const ENCODINGS = ['binary', 'bcd-plus', 'six-bit-ascii', 'latin-1'] as const;

/** BCD plus: digits, space, dash, period; the last three are reserved (FRU 13.1). */
const BCD_PLUS = '0123456789 -.???';

/** Splits a type/length byte. */
export function typeLength(byte: number): { readonly encoding: (typeof ENCODINGS)[number]; readonly length: number } {
  return { encoding: ENCODINGS[(byte >> 6) & 3] ?? 'binary', length: byte & 0x3f };
}

/** The text of a field. Binary comes as hex digits, for there is no text in it. */
export function decodeText(encoding: TextEncoding, bytes: Buffer): string {
  switch (encoding) {
    case 'binary':
      return bytes.toString('hex');
    case 'bcd-plus':
      return [...bytes].map((byte) => `${BCD_PLUS[byte >> 4]}${BCD_PLUS[byte & 15]}`).join('');
    case 'six-bit-ascii':
      return sixBit(bytes);
    case 'latin-1':
      return bytes.toString('latin1');
    case 'unicode':
      return bytes.subarray(0, bytes.length & ~1).toString('utf16le');
  }
}

/** Four characters in three bytes, the first in the lowest bits; 0 is a space (FRU 13.3). */
function sixBit(bytes: Buffer): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held |= byte << bits;
    bits += 8;
    for (; bits >= 6; bits -= 6) {
      text += String.fromCharCode(0x20 + (held & 0x3f));
      held >>= 6;
    }
  }
  return text;
}
