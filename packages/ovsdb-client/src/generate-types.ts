import type { BaseType, ColumnType, DatabaseSchema } from './schema.ts';

const ATOMS = { integer: 'number', real: 'number', boolean: 'boolean', string: 'string', uuid: 'Uuid' } as const;

/** TypeScript source with one exported type, `Tables`, that describes every table of a schema (RFC 7047 3.2). */
export function generateTypes(schema: DatabaseSchema, name = 'Tables'): string {
  const tables = [...schema.tables].map(([table, { columns }]) => {
    const lines = [...columns]
      .filter(([column]) => !column.startsWith('_'))
      .map(([column, { type }]) => `    readonly ${property(column)}: ${typeText(type)};`);
    return `  readonly ${property(table)}: {\n${lines.join('\n')}\n  };`;
  });
  return [
    "import type { Uuid } from 'ovsdb-client';",
    '',
    `/** Tables of ${JSON.stringify(schema.name)}, version ${JSON.stringify(schema.version)}. */`,
    `export type ${name} = {`,
    ...tables,
    '};',
    '',
  ].join('\n');
}

function property(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name);
}

function typeText(type: ColumnType): string {
  const key = atomText(type.key);
  if (type.kind === 'map' && type.value !== undefined) return `ReadonlyMap<${key}, ${atomText(type.value)}>`;
  if (type.kind === 'set') return `ReadonlySet<${key}>`;
  return type.kind === 'optional' ? `${key} | null` : key;
}

function atomText(base: BaseType): string {
  return base.enum?.map((value) => JSON.stringify(value)).join(' | ') ?? ATOMS[base.type];
}
