import { DpuError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/units.ts';

/** Whether a JSON value is an object. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Typed access to an object of the journal. Every reader rejects another type with DpuError `internal`, naming the field. */
export interface Fields {
  text(name: string): string;
  textOrNull(name: string): string | null;
  count(name: string): number;
  countOrNull(name: string): number | null;
  flag(name: string): boolean;
  oneOf<Value extends string>(name: string, values: readonly Value[]): Value;
  object(name: string): Fields;
  /** null for null and for what is absent: older releases did not know it. */
  objectOrNull(name: string): Fields | null;
  /** An object whose members are all texts. */
  textMap(name: string): Readonly<Record<string, string>>;
  list(name: string): readonly Fields[];
  texts(name: string): readonly string[];
}

/** Reads an object that we wrote into the journal ourselves; `where` is its path for messages. @throws DpuError `internal`. */
export function fieldsOf(value: Json | undefined, where: string): Fields {
  if (!isJsonObject(value)) throw unreadable(where);
  const at = (name: string): string => `${where}.${name}`;
  const text = (name: string): string => {
    const found = value[name];
    if (typeof found !== 'string') throw unreadable(at(name));
    return found;
  };
  const count = (name: string): number => {
    const found = value[name];
    if (typeof found !== 'number' || !Number.isFinite(found) || found < 0) throw unreadable(at(name));
    return found;
  };
  return {
    text,
    textOrNull: (name) => (value[name] === null ? null : text(name)),
    count,
    countOrNull: (name) => (value[name] === null ? null : count(name)),
    flag(name) {
      const found = value[name];
      if (typeof found !== 'boolean') throw unreadable(at(name));
      return found;
    },
    oneOf(name, values) {
      const found = text(name);
      const match = values.find((each) => each === found);
      if (match === undefined) throw unreadable(at(name));
      return match;
    },
    texts(name) {
      const found = value[name];
      if (!Array.isArray(found) || !found.every((each: Json) => typeof each === 'string')) throw unreadable(at(name));
      return found;
    },
    object: (name) => fieldsOf(value[name], at(name)),
    objectOrNull: (name) =>
      value[name] === null || value[name] === undefined ? null : fieldsOf(value[name], at(name)),
    textMap(name) {
      const found = value[name];
      if (!isJsonObject(found) || !Object.values(found).every((each) => typeof each === 'string')) {
        throw unreadable(at(name));
      }
      return found as Readonly<Record<string, string>>;
    },
    list(name) {
      const found = value[name];
      if (!Array.isArray(found)) throw unreadable(at(name));
      return found.map((each: Json, index) => fieldsOf(each, `${at(name)}[${index}]`));
    },
  };
}

function unreadable(field: string): DpuError {
  return new DpuError('internal', `the journal's ${field} can't be read`, { field });
}
