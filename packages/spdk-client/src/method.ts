/** One RPC method: its name on the wire, and, for the type checker, what goes in and what comes out. */
export interface Method<Params, Result> {
  readonly name: string;
  /** Whether a result is of the shape that the type promises. */
  readonly check: (result: unknown) => result is Result;
  /** Never set; carries the type of the parameters. */
  readonly params?: Params;
}

/** Parameters of a method that SPDK calls without any: it refuses even an empty object with members. */
export type None = undefined;

/** A typed method by its wire name and a check of its result; for methods that this package does not know. */
export function method<Params, Result>(
  name: string,
  check: (result: unknown) => result is Result,
): Method<Params, Result> {
  return { name, check };
}

type Kind = 'string' | 'number' | 'boolean' | 'object' | 'array';

/** The keys that must be there, and of which kind. Whatever else SPDK sends is let through. */
export type Shape = Readonly<Record<string, Kind>>;

/** A result of SPDK that only says that it was done. */
export const isTrue = (value: unknown): value is true => value === true;
/** A text, such as the name of a new bdev. */
export const isString = (value: unknown): value is string => typeof value === 'string';
/** A number, such as a namespace id. */
export const isNumber = (value: unknown): value is number => typeof value === 'number';
/** A list of texts. */
export const isStrings = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isString);
/** Anything: for methods whose result nobody has seen yet. */
export const isAnything = (_value: unknown): _value is unknown => true;

/** An object with at least these members. */
export function isObject<T>(shape: Shape): (value: unknown) => value is T {
  return (value): value is T => fits(value, shape);
}

/** A list of objects with at least these members. */
export function isList<T>(shape: Shape): (value: unknown) => value is readonly T[] {
  return (value): value is readonly T[] => Array.isArray(value) && value.every((each) => fits(each, shape));
}

function fits(value: unknown, shape: Shape): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const record = value as Readonly<Record<string, unknown>>;
  return Object.entries(shape).every(([key, kind]) => isKind(record[key], kind));
}

function isKind(value: unknown, kind: Kind): boolean {
  if (kind === 'array') return Array.isArray(value);
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === kind;
}
