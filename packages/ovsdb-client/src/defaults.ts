import type { Atom, Value } from './rows.ts';
import type { BaseType, ColumnType } from './schema.ts';

const ATOMS = {
  integer: 0,
  real: 0,
  boolean: false,
  string: '',
  uuid: '00000000-0000-0000-0000-000000000000',
} as const;

/** The one empty set that all rows share; it refuses to be changed, whatever its type was cast to. */
export const EMPTY_SET: ReadonlySet<Atom> = sealed(new Set<Atom>());

/** The one empty map that all rows share; it refuses to be changed. */
export const EMPTY_MAP: ReadonlyMap<Atom, Atom> = sealed(new Map<Atom, Atom>());

/** Default of an atom (RFC 7047 5.2.1). */
export function defaultAtom(base: BaseType): Atom {
  return ATOMS[base.type];
}

/** The value that a column has when nobody wrote it (RFC 7047 5.2.1); `initial` and `insert` updates leave it out. */
export function defaultValue(type: ColumnType): Value {
  switch (type.kind) {
    case 'scalar':
      return defaultAtom(type.key);
    case 'optional':
      return null;
    case 'set':
      return type.min === 0 ? EMPTY_SET : new Set([defaultAtom(type.key)]);
    case 'map':
      return type.min === 0 || type.value === undefined
        ? EMPTY_MAP
        : new Map([[defaultAtom(type.key), defaultAtom(type.value)]]);
  }
}

function sealed<C extends object>(collection: C): C {
  const refuse = () => {
    throw new TypeError('values of rows are not to be changed');
  };
  for (const name of ['add', 'set', 'delete', 'clear']) {
    Object.defineProperty(collection, name, { value: refuse, enumerable: false });
  }
  return collection;
}
