import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';

/** Readers of a service's answer: `unavailable` for one that is not as its API says, since a proxy or a service in pieces answered; tried again later. */

function wrong(name: string, what: string): DpuError {
  return new DpuError('unavailable', `the service's answer: ${name} ${what}`, { field: name });
}

/** A value that must be an object. @throws `unavailable`. */
export function objectOf(value: Json | undefined, name: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'is no object');
  return value as JsonObject;
}

/** A member that must be an object. @throws `unavailable`. */
export function objectIn(data: Json, name: string): JsonObject {
  return objectOf(objectOf(data, 'the body')[name], name);
}

/** A member that is an object; empty when it is absent, null, or anything else that services put for nothing. */
export function optionalObject(data: JsonObject, name: string): JsonObject {
  const value = data[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

/** A member that must be a list of objects. @throws `unavailable`. */
export function objectsIn(data: Json, name: string): readonly JsonObject[] {
  const value = objectOf(data, 'the body')[name];
  if (!Array.isArray(value)) throw wrong(name, 'is no list');
  return (value as readonly Json[]).map((each) => objectOf(each, name));
}

/** A member that is a list of objects; empty when it is absent or null. @throws `unavailable`. */
export function optionalObjects(data: JsonObject, name: string): readonly JsonObject[] {
  const value = data[name];
  return value === undefined || value === null ? [] : objectsIn(data, name);
}

/** A member that must be text; it may be empty. @throws `unavailable`. */
export function textOf(data: JsonObject, name: string): string {
  const value = data[name];
  if (typeof value !== 'string') throw wrong(name, 'is no text');
  return value;
}

/** A member that is text; null when it is absent or null. @throws `unavailable`. */
export function optionalText(data: JsonObject, name: string): string | null {
  const value = data[name];
  return value === undefined || value === null ? null : textOf(data, name);
}

/** A member that must be a number. @throws `unavailable`. */
export function numberOf(data: JsonObject, name: string): number {
  const value = data[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(name, 'is no number');
  return value;
}

/** A member that is a number; null when it is absent or null. @throws `unavailable`. */
export function optionalNumber(data: JsonObject, name: string): number | null {
  const value = data[name];
  return value === undefined || value === null ? null : numberOf(data, name);
}

/** A member that says yes: `true`, or Cinder's `"true"`. */
export function flagOf(data: JsonObject, name: string): boolean {
  const value = data[name];
  return value === true || (typeof value === 'string' && value.toLowerCase() === 'true');
}

/** The texts of a list; empty when it is absent or null. @throws `unavailable`. */
export function textsOf(data: JsonObject, name: string): readonly string[] {
  const value = data[name] ?? [];
  if (!Array.isArray(value)) throw wrong(name, 'is no list');
  return (value as readonly Json[]).map((each) => {
    if (typeof each !== 'string') throw wrong(name, 'has a part that is no text');
    return each;
  });
}

/** The texts of an object; other values are written as JSON. Empty when it is absent or null. */
export function textMap(data: JsonObject, name: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(optionalObject(data, name)).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}

/** The numbers of an object. @throws `unavailable`. */
export function numberMap(data: JsonObject, name: string): Readonly<Record<string, number>> {
  const values = objectOf(data[name], name);
  return Object.fromEntries(Object.keys(values).map((key) => [key, numberOf(values, key)]));
}

/** An object without its undefined members, as JSON wants it. */
export function defined(members: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(members).filter((each): each is [string, Json] => each[1] !== undefined));
}
