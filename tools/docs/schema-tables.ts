/** Tables of the documents that are made from the schemas and from the table of errors. */
import { amqpErrorModule, errorTable } from '../../core/errors.ts';
import config from '../../schemas/config.json' with { type: 'json' };
import rpc from '../../schemas/rpc.json' with { type: 'json' };
import snicConfig from '../../schemas/snic-config.json' with { type: 'json' };
import { table } from './instance-states.ts';

/** The part of a JSON Schema that the tables show. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
  readonly oneOf?: readonly Schema[];
}

/** Every setting: name, kind, default, meaning. */
export function configTable(): string {
  return table(['setting', 'value', 'default', 'meaning'], settings(config as Schema, ''));
}

/** Every setting of snic-controller. */
export function snicConfigTable(): string {
  return table(['setting', 'value', 'default', 'meaning'], settings(snicConfig as Schema, ''));
}

function settings(schema: Schema, prefix: string): readonly (readonly string[])[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, each]) => {
    const path = `${prefix}${name}`;
    const must = schema.required?.includes(name) ? '**required**' : '';
    if (each.properties) {
      const inner = settings(each, `${path}.`);
      return each.description ? [[`\`${path}\``, 'a group', '', each.description], ...inner] : inner;
    }
    const meaning = each.description ?? '';
    if (typeof each.additionalProperties === 'object') {
      const given = each.default === undefined ? must : code(each.default);
      const own = [`\`${path}\``, 'by name', given, meaning];
      return [own, ...settings(each.additionalProperties, `${path}.NAME.`)];
    }
    return [[`\`${path}\``, kindOf(each), each.default === undefined ? must : code(each.default), meaning]];
  });
}

function kindOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((each) => `\`${each}\``).join(' or ');
  if (schema.$ref) return schema.$ref.replace(/^.*\//, '');
  const { minimum, maximum } = schema;
  if (minimum === undefined) return [schema.type ?? []].flat().join(' or ');
  return `${schema.type}, ${maximum === undefined ? `at least ${minimum}` : `${minimum} to ${maximum}`}`;
}

function code(value: unknown): string {
  const text = JSON.stringify(value);
  return text === '{}' ? '' : `\`${text}\``;
}

/** Every method of the platform RPC: arguments (optional ones with a question mark), answer, meaning. */
export function methodTable(): string {
  const methods = Object.entries(rpc.properties) as unknown as [string, Method][];
  const rows = methods.map(([name, { properties, description }]) => {
    const { args, answer } = properties;
    const names = Object.keys(args.properties ?? {});
    const list = names.map((each) => `\`${each}${args.required?.includes(each) ? '' : '?'}\``).join(', ');
    return [`\`${name}\``, list || '–', answerOf(answer), description];
  });
  return table(['method', 'arguments', 'answer', 'what it does'], rows);
}

interface Method {
  readonly description: string;
  readonly properties: { readonly args: Schema; readonly answer: Schema };
}

function answerOf(answer: Schema): string {
  if (answer.$ref) return `\`${answer.$ref}\``;
  return `\`{${Object.keys(answer.properties ?? {}).join(', ')}}\``;
}

/** Every error code, as the RPC and REST show it. */
export function failureTable(): string {
  const advice = { never: 'nobody', backoff: 'whoever asked, after a pause', operator: 'once somebody mended it' };
  const rows = Object.entries(errorTable).map(([name, row]) => [
    `\`${name}\``,
    `\`${amqpErrorModule}.${row.amqpClass}\``,
    String(row.http),
    advice[row.retry],
  ]);
  return table(['code', 'RPC failure', 'HTTP', 'who may try again'], rows);
}
