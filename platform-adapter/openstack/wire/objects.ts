import { isDeepStrictEqual } from 'node:util';
import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';

/** A versioned object as nova sends it (oslo.versionedobjects' primitive, namespace `nova`). Unset fields are not in the data. */
export type Primitive = {
  readonly 'nova_object.name': string;
  readonly 'nova_object.namespace': 'nova';
  /** `major.minor`; a third part is a backport's and tells nothing. */
  readonly 'nova_object.version': string;
  readonly 'nova_object.data': JsonObject;
  /** Fields whose value is not saved yet; left out when there is none. */
  readonly 'nova_object.changes'?: readonly string[];
};

/** Longest list of objects that is read. */
export const maxObjects = 10_000;

/** Reads one field: `undefined` is an unset field. @throws `invalid` that names the field by its path. */
export type Field<Value> = (value: unknown, path: string) => Value;

/** Field name -> how it is read. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The plain value that a table of fields reads. */
export type Read<Table extends Fields> = {
  readonly [Name in keyof Table]: Table[Name] extends Field<infer Value> ? Value : never;
};

function wrong(path: string, want: string): DpuError {
  return new DpuError('invalid', `nova sent something else than ${want} as ${path}`, { field: path });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text. */
export const text: Field<string> = (value, path) => {
  if (typeof value !== 'string') throw wrong(path, 'a text');
  return value;
};

/** A whole number. */
export const whole: Field<number> = (value, path) => {
  if (!Number.isSafeInteger(value)) throw wrong(path, 'a whole number');
  return value as number;
};

/** A number. */
export const real: Field<number> = (value, path) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(path, 'a number');
  return value;
};

/** A truth value. */
export const flag: Field<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw wrong(path, 'true or false');
  return value;
};

/** Text by text: metadata, extra specs. A null value is read as an empty text. */
export const texts: Field<Readonly<Record<string, string>>> = (value, path) => {
  if (!isRecord(value)) throw wrong(path, 'an object');
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, each === null ? '' : text(each, `${path}.${name}`)]),
  );
};

/** Any JSON, as it is. */
export const json: Field<Json> = (value, path) => {
  if (value === undefined) throw wrong(path, 'a value');
  return value as Json;
};

/** Null for both null and unset: what nova has not loaded tells us nothing. */
export function nullable<Value>(field: Field<Value>): Field<Value | null> {
  return (value, path) => (value === undefined || value === null ? null : field(value, path));
}

/** Another value where the field is null or unset. */
export function orElse<Value>(field: Field<Value>, other: Value): Field<Value> {
  return (value, path) => (value === undefined || value === null ? other : field(value, path));
}

/** A plain list. */
export function listOf<Value>(field: Field<Value>): Field<readonly Value[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length > maxObjects) throw wrong(path, `a list of at most ${maxObjects}`);
    return value.map((each, at) => field(each, `${path}[${at}]`));
  };
}

/** An object of this class, by its table of fields. */
export function objectOf<Table extends Fields>(name: string, table: Table): Field<Read<Table>> {
  return (value, path) => {
    const { data } = parse(value, path, name);
    return Object.fromEntries(
      Object.entries(table).map(([field, read]) => [field, read(data[field], `${path}.${field}`)]),
    ) as Read<Table>;
  };
}

/** The objects of a list class (`BlockDeviceMappingList`), whose data holds them as `objects`. */
export function objectsOf<Value>(name: string, member: Field<Value>): Field<readonly Value[]> {
  const list = listOf(member);
  return (value, path) => list(parse(value, path, name).data.objects, `${path}.objects`);
}

/** The objects of a list class as nova sent them. @throws `invalid`. */
export function listObjects(name: string, value: unknown, path: string): readonly Primitive[] {
  return objectsOf(name, (each, at) => {
    parse(each, at);
    return each as Primitive;
  })(value, path);
}

/** An object taken apart. */
export interface ParsedObject {
  readonly name: string;
  readonly version: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly changes: readonly string[];
}

/** Takes an object apart. @throws `invalid` when it is none, or none of that class. */
export function parse(value: unknown, path: string, name?: string): ParsedObject {
  if (!isPrimitive(value)) throw wrong(path, 'an object of nova');
  if (name !== undefined && value['nova_object.name'] !== name) throw wrong(path, `an object of class ${name}`);
  return {
    name: value['nova_object.name'],
    version: value['nova_object.version'],
    data: value['nova_object.data'],
    changes: value['nova_object.changes'] ?? [],
  };
}

/** Whether a value is an object of nova. */
export function isPrimitive(value: unknown): value is Primitive {
  return (
    isRecord(value) &&
    typeof value['nova_object.name'] === 'string' &&
    value['nova_object.namespace'] === 'nova' &&
    typeof value['nova_object.version'] === 'string' &&
    isRecord(value['nova_object.data']) &&
    (value['nova_object.changes'] === undefined || Array.isArray(value['nova_object.changes']))
  );
}

/**
 * A sparse object: what tells it (`identity`) and what is to be saved (`changes`). Conductor saves exactly the fields that are
 * in the changes, so nothing that another service wrote meanwhile is written back.
 */
export function sparse(name: string, version: string, identity: JsonObject, changes: JsonObject = {}): Primitive {
  const dirty = Object.keys(changes);
  return {
    'nova_object.name': name,
    'nova_object.namespace': 'nova',
    'nova_object.version': version,
    'nova_object.data': { ...identity, ...changes },
    ...(dirty.length === 0 ? {} : { 'nova_object.changes': dirty }),
  };
}

/** A list object around its members. */
export function listObject(name: string, version: string, objects: readonly Primitive[]): Primitive {
  return sparse(name, version, { objects: objects as unknown as Json });
}

/** The fields of `next` that differ from `before`: what a save has to say. */
export function changed(before: JsonObject, next: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(next).filter(([name, value]) => !isDeepStrictEqual(before[name], value)));
}

/** A date as nova's objects hold it: whole seconds, UTC. */
export function novaDate(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}
