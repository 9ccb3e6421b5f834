import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';

/** A member that is text and not empty; undefined when it is absent or null. @throws DpuError `invalid`. */
export function textOf(data: JsonObject, name: string): string | undefined {
  const value = data[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' || value === '') throw wrong(name, 'is text');
  return value;
}

/** A member that must be text. @throws DpuError `invalid`. */
export function requireText(data: JsonObject, name: string): string {
  const value = textOf(data, name);
  if (value === undefined) throw wrong(name, 'is missing');
  return value;
}

/** A member that is a number or the text of one: Cinder's drivers give both. @throws DpuError `invalid`. */
export function numberOf(data: JsonObject, name: string): number | undefined {
  const value = data[name];
  if (value === undefined || value === null) return undefined;
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) throw wrong(name, 'is a number');
  return number;
}

/** A member that is a list; undefined when it is absent or null. @throws DpuError `invalid`. */
export function listOf(data: JsonObject, name: string): readonly Json[] | undefined {
  const value = data[name];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw wrong(name, 'is a list');
  return value as readonly Json[];
}

/** The error for a member of a connection that is no good; never shows the value. */
export function wrong(name: string, what: string): DpuError {
  return new DpuError('invalid', `the volume's connection: ${name} ${what}`, { field: `connection_info.data.${name}` });
}
