import { ProtocolError } from './errors.ts';

/** A JSON object as it came. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object (not null, not an array). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object at a path of keys; an empty object when anything on the way is missing or of another type. */
export function objectAt(value: unknown, ...keys: readonly string[]): JsonObject {
  let at: unknown = value;
  for (const key of keys) at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return isObject(at) ? at : {};
}

/** The array of a member; empty when it is missing or no array. */
export function arrayOf(value: JsonObject, key: string): readonly unknown[] {
  const found = value[key];
  return Array.isArray(found) ? found : [];
}

/** The trimmed text of a member; undefined when it is missing, empty or no string. */
export function textOf(value: JsonObject, key: string): string | undefined {
  const found = value[key];
  const text = typeof found === 'string' ? found.trim() : '';
  return text === '' ? undefined : text;
}

/** The number of a member; a string of digits counts, as some services send it. */
export function numberOf(value: JsonObject, key: string): number | undefined {
  const found = value[key];
  if (typeof found === 'number' && Number.isFinite(found)) return found;
  return typeof found === 'string' && /^-?\d{1,15}(\.\d{1,15})?$/.test(found) ? Number(found) : undefined;
}

/** The boolean of a member. */
export function booleanOf(value: JsonObject, key: string): boolean | undefined {
  const found = value[key];
  return typeof found === 'boolean' ? found : undefined;
}

/** The strings of an array member; other items are left out. */
export function textsOf(value: JsonObject, key: string): readonly string[] {
  return arrayOf(value, key).filter((item) => typeof item === 'string');
}

/** The `@odata.id` of a member that is a reference (DSP0266 "Reference properties"). */
export function linkOf(value: JsonObject, key: string): string | undefined {
  return textOf(objectAt(value, key), '@odata.id');
}

/** The `@odata.id`s of a member that is an array of references. */
export function linksOf(value: JsonObject, key: string): readonly string[] {
  return arrayOf(value, key).flatMap((item) => (isObject(item) ? (textOf(item, '@odata.id') ?? []) : []));
}

/**
 * Parses a body that must be a JSON object.
 * @throws ProtocolError `protocol` when it is not, or is nested deeper than `maxDepth`.
 */
export function parseObject(body: Buffer, maxDepth: number, what: string): JsonObject {
  const text = new TextDecoder('utf-8', { fatal: false, ignoreBOM: false }).decode(body);
  if (depthOf(text) > maxDepth) throw new ProtocolError(`${what}: JSON nested deeper than ${maxDepth}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own text quotes the body, which may hold anything.
    throw new ProtocolError(`${what}: the body is not JSON`);
  }
  if (!isObject(value)) throw new ProtocolError(`${what}: the body is not a JSON object`);
  return value;
}

/** Deepest nesting, counted on the text so that it costs no stack. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (quoted) {
      if (char === 0x5c) at++;
      else if (char === 0x22) quoted = false;
    } else if (char === 0x22) quoted = true;
    else if (char === 0x7b || char === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (char === 0x7d || char === 0x5d) depth--;
  }
  return deepest;
}
