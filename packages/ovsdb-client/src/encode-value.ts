import { EncodeError } from './errors.ts';
import { isUuid } from './rows.ts';
import type { BaseType, ColumnType } from './schema.ts';

/**
 * Writes a value in the wire's form (RFC 7047 5.1). Sets are a Set or an array, maps a Map or a plain object, an optional
 * atom that is not set is null; a uuid may be a named one. `where` names the column in errors.
 *
 * @throws EncodeError `encode` when the value does not fit the type
 */
export function encodeValue(type: ColumnType, value: unknown, where: string): unknown {
  switch (type.kind) {
    case 'scalar':
      return encodeAtom(type.key, value, where);
    case 'optional':
      return value === null ? ['set', []] : encodeAtom(type.key, value, where);
    case 'set':
      return encodeSet(type.key, value, where, type.max);
    case 'map':
      return encodeMap(type, value, where);
  }
}

/** Like `encodeValue`, for the argument of a condition: on a set or map also a part of it, as `includes` takes. */
export function encodeArgument(type: ColumnType, value: unknown, where: string): unknown {
  if (type.kind === 'set' && isAtomLike(value)) return encodeAtom(type.key, value, where);
  return encodeValue(type, value, where);
}

/** Like `encodeValue`, for the argument of a mutation (RFC 7047 5.1 `<mutation>`): `delete` on a map also takes keys. */
export function encodeMutation(type: ColumnType, mutator: string, value: unknown, where: string): unknown {
  if (mutator !== 'insert' && mutator !== 'delete') return encodeAtom(type.key, value, where);
  if (type.kind === 'map' && (isCollection(value) || isAtomLike(value))) {
    if (mutator === 'insert') throw new EncodeError(`${where}: insert needs a map`);
    return encodeSet(type.key, isAtomLike(value) ? [value] : value, where, Number.POSITIVE_INFINITY);
  }
  if (type.kind === 'map') return encodeMap(type, value, where);
  return encodeSet(type.key, isAtomLike(value) ? [value] : value, where, Number.POSITIVE_INFINITY);
}

function encodeSet(base: BaseType, value: unknown, where: string, max: number): unknown {
  if (!isCollection(value)) throw new EncodeError(`${where}: a set is a Set or an array`);
  const members = [...value];
  if (members.length > max) throw new EncodeError(`${where}: more than ${max} members`);
  return ['set', members.map((member) => encodeAtom(base, member, where))];
}

function encodeMap(type: ColumnType, value: unknown, where: string): unknown {
  const { key, value: valueType } = type;
  if (valueType === undefined || typeof value !== 'object' || value === null || isCollection(value)) {
    throw new EncodeError(`${where}: a map is a Map or a plain object`);
  }
  const pairs: readonly (readonly [unknown, unknown])[] =
    value instanceof Map
      ? [...(value as ReadonlyMap<unknown, unknown>)]
      : Object.entries(value).map(([name, member]) => [keyFromText(key, name), member] as const);
  if (pairs.length > type.max) throw new EncodeError(`${where}: more than ${type.max} members`);
  return [
    'map',
    pairs.map(([name, member]) => [encodeAtom(key, name, where), encodeAtom(valueType, member, where)] as const),
  ];
}

function encodeAtom(base: BaseType, value: unknown, where: string): unknown {
  switch (base.type) {
    case 'integer':
      if (!Number.isSafeInteger(value)) break;
      return value;
    case 'real':
      if (!Number.isFinite(value)) break;
      return value;
    case 'boolean':
      if (typeof value !== 'boolean') break;
      return value;
    case 'string':
      if (typeof value !== 'string' || value.includes('\0') || !value.isWellFormed()) break;
      return value;
    case 'uuid':
      if (isUuid(value)) return ['uuid', value];
      if (!isNamed(value)) break;
      return ['named-uuid', value.namedUuid];
  }
  throw new EncodeError(`${where}: not of type ${base.type}`);
}

/** A plain object's keys are text, also where the column's are not. */
function keyFromText(base: BaseType, text: string): unknown {
  if (base.type === 'integer' || base.type === 'real') return text.trim() === '' ? text : Number(text);
  return base.type === 'boolean' ? ({ true: true, false: false }[text] ?? text) : text;
}

function isNamed(value: unknown): value is { readonly namedUuid: string } {
  return typeof value === 'object' && value !== null && 'namedUuid' in value && typeof value.namedUuid === 'string';
}

function isCollection(value: unknown): value is Iterable<unknown> {
  return Array.isArray(value) || value instanceof Set;
}

function isAtomLike(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || isNamed(value);
}
