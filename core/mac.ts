import { DpuError } from './errors.ts';
import type { Mac } from './units.ts';

const spelling = /^[0-9a-f]{2}([:-]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/;

/**
 * Reads a MAC in any usual spelling (`aa:bb:…`, `AA-BB-…`, `aabb…`) and answers it in lower case with colons.
 * @throws DpuError `invalid` for another spelling, a multicast or an all-zero address; `field` is named in the error.
 */
export function parseMac(text: string, field = 'mac'): Mac {
  const lower = text.toLowerCase();
  if (!spelling.test(lower)) throw new DpuError('invalid', `${field} is not a MAC address`, { field });
  const pairs = lower.replaceAll(/[:-]/g, '').match(/../g) ?? [];
  if (Number.parseInt(pairs[0] ?? '0', 16) % 2 === 1) {
    throw new DpuError('invalid', `${field} is a multicast address`, { field });
  }
  if (pairs.every((pair) => pair === '00')) throw new DpuError('invalid', `${field} is all zero`, { field });
  return pairs.join(':') as Mac;
}
