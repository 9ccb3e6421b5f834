import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyDiff, decodeValue } from '../src/decode-value.ts';
import { encodeMutation, encodeValue } from '../src/encode-value.ts';
import { sameValue } from '../src/equal.ts';
import {
  type Atom,
  EncodeError,
  generateTypes,
  namedUuid,
  ProtocolError,
  parseSchema,
  type Value,
} from '../src/index.ts';
import type { AtomicType, ColumnType } from '../src/schema.ts';
import { haveOvsdb, VSWITCH_SCHEMA } from './ovsdb-server.ts';

const atoms: Record<AtomicType, fc.Arbitrary<Atom>> = {
  integer: fc.maxSafeInteger(),
  real: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((x) => !Object.is(x, -0)),
  boolean: fc.boolean(),
  string: fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
  uuid: fc.uuid(),
};
const atomic = fc.constantFrom<AtomicType>('integer', 'real', 'boolean', 'string', 'uuid');

/** A type and two of its values. */
const typed: fc.Arbitrary<{ type: ColumnType; a: Value; b: Value }> = fc
  .tuple(fc.constantFrom<ColumnType['kind']>('scalar', 'optional', 'set', 'map'), atomic, atomic)
  .chain(([kind, key, value]) => {
    const many = kind === 'set' || kind === 'map';
    const type: ColumnType = {
      kind,
      key: { type: key },
      min: kind === 'scalar' ? 1 : 0,
      max: many ? Number.POSITIVE_INFINITY : 1,
      ...(kind === 'map' ? { value: { type: value } } : {}),
    };
    const one: fc.Arbitrary<Value> =
      kind === 'scalar'
        ? atoms[key]
        : kind === 'optional'
          ? fc.option(atoms[key])
          : kind === 'set'
            ? fc.array(atoms[key], { maxLength: 6 }).map((members) => new Set(members))
            : fc.array(fc.tuple(atoms[key], atoms[value]), { maxLength: 6 }).map((pairs) => new Map(pairs));
    return fc.tuple(one, one).map(([a, b]) => ({ type, a, b }));
  });

/** The difference as ovsdb-server(7) 4.1.14 defines it, written the other way round than the code. */
function difference(type: ColumnType, a: Value, b: Value): Value {
  if (a instanceof Set && b instanceof Set && type.kind === 'set') {
    return new Set([...a, ...b].filter((member) => a.has(member) !== b.has(member)));
  }
  if (a instanceof Map && b instanceof Map) {
    const gone = [...a].filter(([key]) => !b.has(key));
    const changed = [...b].filter(([key, value]) => a.get(key) !== value);
    return new Map([...gone, ...changed]);
  }
  return b;
}

describe('values', () => {
  it('come back from the wire as they were', () => {
    fc.assert(
      fc.property(typed, ({ type, a }) => {
        const wire: unknown = JSON.parse(JSON.stringify(encodeValue(type, a, 'c')));
        expect(sameValue(decodeValue(type, wire), a)).toBe(true);
      }),
    );
  });

  it('are changed by a difference into the other value', () => {
    fc.assert(
      fc.property(typed, ({ type, a, b }) => {
        const wire = encodeValue(type, difference(type, a, b), 'c');
        const before = decodeValue(type, encodeValue(type, a, 'c'));
        expect(sameValue(applyDiff(type, before, wire), b)).toBe(true);
        expect(sameValue(before, a)).toBe(true);
      }),
    );
  });

  it('are taken or refused, never crashed on', () => {
    fc.assert(
      fc.property(typed, fc.jsonValue(), ({ type, a }, wire) => {
        for (const read of [() => decodeValue(type, wire), () => applyDiff(type, a, wire)]) {
          try {
            read();
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  const set: ColumnType = { kind: 'set', key: { type: 'integer' }, min: 0, max: 3 };
  const map: ColumnType = { kind: 'map', key: { type: 'integer' }, value: { type: 'uuid' }, min: 0, max: 9 };

  it('takes arrays for sets and records for maps', () => {
    expect(encodeValue(set, [1, 2], 'c')).toEqual(['set', [1, 2]]);
    expect(encodeValue(map, { 7: namedUuid('q') }, 'c')).toEqual(['map', [[7, ['named-uuid', 'q']]]]);
    expect(encodeMutation(map, 'delete', [7], 'c')).toEqual(['set', [7]]);
    expect(decodeValue(set, 5)).toEqual(new Set([5]));
  });

  it.each([
    [set, [1, 2, 3, 4]],
    [set, [1.5]],
    [set, ['1']],
    [set, 'abc'],
    [map, [1]],
    [map, { x: namedUuid('q') }],
    [map, { 1: 'no uuid' }],
    [{ kind: 'scalar', key: { type: 'real' }, min: 1, max: 1 } as const, Number.NaN],
    [{ kind: 'scalar', key: { type: 'string' }, min: 1, max: 1 } as const, '\ud800'],
    [{ kind: 'scalar', key: { type: 'integer' }, min: 1, max: 1 } as const, 2 ** 53],
  ])('refuses what does not fit (%#)', (type, value) => {
    expect(() => encodeValue(type, value, 'c')).toThrow(EncodeError);
  });

  it('shares an empty set that cannot be filled', () => {
    const empty = decodeValue(set, ['set', []]) as Set<Atom>;
    expect(() => empty.add(1)).toThrow(TypeError);
    expect(decodeValue(set, ['set', []])).toEqual(new Set());
  });
});

describe.skipIf(!haveOvsdb())('the schema of Open vSwitch', () => {
  const schema = parseSchema(JSON.parse(readFileSync(VSWITCH_SCHEMA, 'utf8')));

  it('is understood', () => {
    expect(schema.name).toBe('Open_vSwitch');
    expect(schema.tables.get('Port')?.columns.get('tag')?.type).toMatchObject({ kind: 'optional', min: 0, max: 1 });
    expect(schema.tables.get('QoS')?.columns.get('queues')?.type).toMatchObject({
      kind: 'map',
      value: { type: 'uuid', refTable: 'Queue', refType: 'strong' },
    });
    expect(schema.tables.get('Open_vSwitch')).toMatchObject({ isRoot: true, maxRows: 1 });
    expect(schema.tables.get('Bridge')?.indexes).toEqual([['name']]);
  });

  it('becomes TypeScript', () => {
    const text = generateTypes(schema);
    expect(text).toContain('readonly tag: number | null;');
    expect(text).toContain('readonly queues: ReadonlyMap<number, Uuid>;');
    expect(text).toContain('readonly fail_mode: "standalone" | "secure" | null;');
    expect(text).toContain('readonly ports: ReadonlySet<Uuid>;');
  });
});
