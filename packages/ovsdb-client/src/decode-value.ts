import { EMPTY_MAP, EMPTY_SET } from './defaults.ts';
import { ProtocolError } from './errors.ts';
import { type Atom, isUuid, type Value } from './rows.ts';
import type { BaseType, ColumnType } from './schema.ts';

/**
 * Reads a `<value>` of the wire (RFC 7047 5.1) as the column's type says. A set of one may come as a bare atom.
 *
 * @throws ProtocolError `protocol` when it does not fit the type
 */
export function decodeValue(type: ColumnType, wire: unknown): Value {
  switch (type.kind) {
    case 'scalar':
      return decodeAtom(type.key, wire);
    case 'optional': {
      const members = tagged(wire, 'set');
      if (members === undefined) return decodeAtom(type.key, wire);
      if (members.length > 1) throw mismatch('an optional value');
      return members.length === 0 ? null : decodeAtom(type.key, members[0]);
    }
    case 'set': {
      const members = tagged(wire, 'set') ?? [wire];
      return members.length === 0 ? EMPTY_SET : new Set(members.map((member) => decodeAtom(type.key, member)));
    }
    case 'map': {
      const pairs = decodePairs(type, wire);
      return pairs.length === 0 ? EMPTY_MAP : new Map(pairs);
    }
  }
}

/**
 * Applies the difference that a `modify` of `<row-update2>` carries (ovsdb-server(7) 4.1.14): symmetric for sets, by key
 * for maps, the new value itself for a column that holds one at most.
 *
 * @throws ProtocolError `protocol` when it does not fit the type
 */
export function applyDiff(type: ColumnType, before: Value, wire: unknown): Value {
  if (type.max === 1) return decodeValue(type, wire);
  if (type.kind === 'set' && before instanceof Set) {
    const members = (tagged(wire, 'set') ?? [wire]).map((member) => decodeAtom(type.key, member));
    const after = new Set<Atom>(before as ReadonlySet<Atom>);
    for (const member of members) if (!after.delete(member)) after.add(member);
    return after.size === 0 ? EMPTY_SET : after;
  }
  if (type.kind === 'map' && before instanceof Map) {
    const after = new Map<Atom, Atom>(before as ReadonlyMap<Atom, Atom>);
    for (const [key, value] of decodePairs(type, wire)) {
      if (after.get(key) === value) after.delete(key);
      else after.set(key, value);
    }
    return after.size === 0 ? EMPTY_MAP : after;
  }
  throw mismatch('a difference');
}

function decodePairs(type: ColumnType, wire: unknown): readonly (readonly [Atom, Atom])[] {
  const pairs = tagged(wire, 'map');
  const { key, value } = type;
  if (pairs === undefined || value === undefined) throw mismatch('a map');
  return pairs.map((pair) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw mismatch('a pair of a map');
    return [decodeAtom(key, pair[0]), decodeAtom(value, pair[1])] as const;
  });
}

function decodeAtom(base: BaseType, wire: unknown): Atom {
  switch (base.type) {
    case 'integer':
    case 'real':
      if (typeof wire !== 'number') break;
      return wire;
    case 'boolean':
      if (typeof wire !== 'boolean') break;
      return wire;
    case 'string':
      if (typeof wire !== 'string') break;
      return wire;
    case 'uuid':
      if (!Array.isArray(wire) || wire[0] !== 'uuid' || !isUuid(wire[1])) break;
      return wire[1];
  }
  throw mismatch(`a value of type ${base.type}`);
}

function tagged(wire: unknown, tag: 'set' | 'map'): readonly unknown[] | undefined {
  return Array.isArray(wire) && wire[0] === tag && Array.isArray(wire[1]) ? wire[1] : undefined;
}

function mismatch(what: string): ProtocolError {
  return new ProtocolError(`the server sent something else than ${what}`);
}
