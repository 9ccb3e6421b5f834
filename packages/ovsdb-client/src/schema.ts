import { ProtocolError } from './errors.ts';

/** RFC 7047 3.2 `<atomic-type>`. */
export type AtomicType = 'integer' | 'real' | 'boolean' | 'string' | 'uuid';

/** RFC 7047 3.2 `<base-type>`. */
export type BaseType = {
  readonly type: AtomicType;
  /** The values allowed, when they are listed. */
  readonly enum?: readonly (string | number | boolean)[];
  readonly refTable?: string;
  readonly refType?: 'strong' | 'weak';
};

/** RFC 7047 3.2 `<type>`, and the shape its values have in JavaScript. */
export type ColumnType = {
  /** `scalar`: an atom. `optional`: an atom or null. `set`: a Set. `map`: a Map. */
  readonly kind: 'scalar' | 'optional' | 'set' | 'map';
  readonly key: BaseType;
  /** Of a map only. */
  readonly value?: BaseType;
  readonly min: number;
  /** Infinity for `unlimited`. */
  readonly max: number;
};

/** RFC 7047 3.2 `<column-schema>`. */
export type ColumnSchema = { readonly type: ColumnType; readonly mutable: boolean; readonly ephemeral: boolean };

/** RFC 7047 3.2 `<table-schema>`; `columns` holds `_uuid` and `_version` as well. */
export type TableSchema = {
  readonly columns: ReadonlyMap<string, ColumnSchema>;
  /** Infinity when there is no limit. */
  readonly maxRows: number;
  readonly isRoot: boolean;
  readonly indexes: readonly (readonly string[])[];
};

/** RFC 7047 3.2 `<database-schema>`. */
export type DatabaseSchema = {
  readonly name: string;
  readonly version: string;
  readonly cksum: string | undefined;
  readonly tables: ReadonlyMap<string, TableSchema>;
};

const ATOMIC: readonly string[] = ['integer', 'real', 'boolean', 'string', 'uuid'] satisfies AtomicType[];

const IMPLICIT: ColumnSchema = {
  type: { kind: 'scalar', key: { type: 'uuid' }, min: 1, max: 1 },
  mutable: false,
  ephemeral: false,
};

/**
 * Reads a schema in its JSON form, as `get_schema` answers or a `.ovsschema` file holds it (RFC 7047 3.2).
 *
 * @throws ProtocolError `protocol` when it is not a schema
 */
export function parseSchema(json: unknown): DatabaseSchema {
  const schema = asObject(json, 'a schema');
  return {
    name: asText(schema.name, 'the name'),
    version: asText(schema.version ?? '', 'the version'),
    cksum: schema.cksum === undefined ? undefined : asText(schema.cksum, 'the cksum'),
    tables: mapOf(schema.tables, 'tables', parseTable),
  };
}

function parseTable(json: unknown, name: string): TableSchema {
  const table = asObject(json, `table ${name}`);
  const columns = mapOf(table.columns, `columns of ${name}`, parseColumn);
  const indexes = table.indexes ?? [];
  if (!Array.isArray(indexes)) throw new ProtocolError(`indexes of ${name} are not an array`);
  return {
    columns: new Map([['_uuid', IMPLICIT], ['_version', IMPLICIT], ...columns]),
    maxRows: typeof table.maxRows === 'number' ? table.maxRows : Number.POSITIVE_INFINITY,
    isRoot: table.isRoot === true,
    indexes: indexes.map((index: unknown) => (Array.isArray(index) ? index.map(String) : [])),
  };
}

function parseColumn(json: unknown, name: string): ColumnSchema {
  const column = asObject(json, `column ${name}`);
  return {
    type: parseType(column.type, name),
    mutable: column.mutable !== false,
    ephemeral: column.ephemeral === true,
  };
}

function parseType(json: unknown, name: string): ColumnType {
  if (typeof json === 'string') return { kind: 'scalar', key: parseBase(json, name), min: 1, max: 1 };
  const type = asObject(json, `type of ${name}`);
  const key = parseBase(type.key, name);
  const min = type.min ?? 1;
  const max = type.max === 'unlimited' ? Number.POSITIVE_INFINITY : (type.max ?? 1);
  if (typeof min !== 'number' || typeof max !== 'number' || min > max || max < 1) {
    throw new ProtocolError(`type of ${name} has wrong limits`);
  }
  if (type.value !== undefined) return { kind: 'map', key, value: parseBase(type.value, name), min, max };
  const kind = max > 1 ? 'set' : min === 0 ? 'optional' : 'scalar';
  return { kind, key, min, max };
}

function parseBase(json: unknown, name: string): BaseType {
  if (typeof json === 'string') return { type: atomic(json, name) };
  const base = asObject(json, `type of ${name}`);
  const { enum: listed, refTable, refType } = base;
  return {
    type: atomic(base.type, name),
    ...(listed === undefined ? {} : { enum: listedValues(listed) }),
    ...(typeof refTable === 'string' ? { refTable, refType: refType === 'weak' ? 'weak' : 'strong' } : {}),
  };
}

function listedValues(json: unknown): readonly (string | number | boolean)[] {
  const values: readonly unknown[] =
    Array.isArray(json) && json[0] === 'set' && Array.isArray(json[1]) ? json[1] : [json];
  return values.filter((value) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean');
}

function atomic(json: unknown, name: string): AtomicType {
  if (typeof json !== 'string' || !ATOMIC.includes(json)) throw new ProtocolError(`type of ${name} is unknown`);
  return json as AtomicType;
}

function mapOf<V>(json: unknown, what: string, read: (value: unknown, name: string) => V): Map<string, V> {
  return new Map(Object.entries(asObject(json, what)).map(([name, value]) => [name, read(value, name)]));
}

function asObject(json: unknown, what: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new ProtocolError(`${what}: not an object`);
  return json as Record<string, unknown>;
}

function asText(json: unknown, what: string): string {
  if (typeof json !== 'string') throw new ProtocolError(`${what} of a schema is not text`);
  return json;
}
