import { isDeepStrictEqual } from 'node:util';
import { DpuError } from './errors.ts';
import type { Json, JsonObject } from './units.ts';

/** Fields of `wanted` that `have` has otherwise, as `{field: [have, wanted]}`; null where there is none. */
export function difference(have: object, wanted: object): JsonObject | null {
  const before = new Map<string, unknown>(Object.entries(have));
  const differing = Object.entries(wanted).filter(([field, value]) => !isDeepStrictEqual(before.get(field), value));
  if (differing.length === 0) return null;
  return Object.fromEntries(
    differing.map(([field, value]) => [field, [(before.get(field) ?? null) as Json, (value ?? null) as Json]]),
  );
}

/** Ensures that what is there is what is wanted. @throws DpuError `conflict` with the difference. */
export function requireSame(what: string, have: object, wanted: object): void {
  const details = difference(have, wanted);
  if (details) throw new DpuError('conflict', `${what} exists with another specification`, { details });
}
