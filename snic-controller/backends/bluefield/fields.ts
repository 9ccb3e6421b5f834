/** Reading what vendors' programs print: keys may be missing, and numbers may be texts. */

import { parseMac } from '../../../core/mac.ts';
import type { Mac } from '../../../core/units.ts';

/** An object of unknown shape. */
export type Fields = Readonly<Record<string, unknown>>;

/** The value as an object; null when it is none. */
export function asFields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

/** The objects of a list; null when it is no list. */
export function asList(value: unknown): readonly Fields[] | null {
  if (!Array.isArray(value)) return null;
  return value.map(asFields).filter((each) => each !== null);
}

/** The first of the keys that holds a text that is not empty. */
export function textOf(fields: Fields, ...keys: readonly string[]): string | null {
  for (const key of keys) {
    const value = fields[key];
    if (typeof value === 'string' && value.trim() !== '') return value.trim();
  }
  return null;
}

/** The first of the keys that holds a whole number from 0 on, as a number or as a text, decimal or `0x…`. */
export function countOf(fields: Fields, ...keys: readonly string[]): number | null {
  for (const key of keys) {
    const value = fields[key];
    const number = typeof value === 'string' && /^(0x[0-9a-f]+|\d+)$/i.test(value.trim()) ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
  }
  return null;
}

/** A MAC in any spelling; null for none, and for one of zeros, which means none. */
export function macOf(fields: Fields, ...keys: readonly string[]): Mac | null {
  const text = textOf(fields, ...keys);
  if (text === null) return null;
  try {
    return parseMac(text);
  } catch {
    return null; // unreadable is as good as not told
  }
}
