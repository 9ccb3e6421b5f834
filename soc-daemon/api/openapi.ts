import commonSchema from '../../schemas/common.json' with { type: 'json' };
import instanceSchema from '../../schemas/instance.json' with { type: 'json' };
import nodeStatusSchema from '../../schemas/node-status.json' with { type: 'json' };
import operationSchema from '../../schemas/operation.json' with { type: 'json' };
import restSchema from '../../schemas/rest.json' with { type: 'json' };
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };
import { pathNames } from './mutation.ts';
import { problemType } from './problem.ts';
import type { BodySpec, Parameter, ReplySpec, Route } from './route.ts';

type Node = { readonly [key: string]: unknown };

const files: Readonly<Record<string, Node>> = {
  'common.json': commonSchema,
  'instance.json': instanceSchema,
  'node-status.json': nodeStatusSchema,
  'operation.json': operationSchema,
  'rest.json': restSchema,
  'rpc.json': rpcSchema,
};

const pathSchemas: Readonly<Record<string, string>> = {
  uuid: 'common.json#/$defs/uuid',
  id: 'common.json#/$defs/uuid',
  port_id: 'common.json#/$defs/id',
  volume_id: 'common.json#/$defs/id',
};

const headerSpecs = {
  ETag: { description: 'The generation, as an entity tag.', schema: { type: 'string' } },
  Location: { description: 'Where the operation is.', schema: { type: 'string' } },
} as const;

/** The OpenAPI 3.1 document of a table of routes; its schemas are those of `schemas/`, so that it stands alone. */
export function openApiDocument(routes: readonly Route[], version: string): Node {
  const bundle = createBundle();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const item = paths[route.path] ?? {};
    item[route.method] = describeRoute(route, bundle);
    paths[route.path] = item;
  }
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: { title: 'dpu-compute node', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    security: [{}, { bearer: [] }],
    paths,
    components: {
      schemas: bundle.schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'On TCP; the unix socket is guarded by its mode.' },
      },
    },
  };
}

function describeRoute(route: Route, bundle: Bundle): Node {
  const inPath = pathNames(route.path).map((name) => ({
    name,
    in: 'path',
    required: true,
    schema: bundle.use(pathSchemas[name] ?? ''),
  }));
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    parameters: [...inPath, ...route.parameters.map((each) => describeParameter(each, bundle))],
    ...(route.body === undefined ? {} : { requestBody: describeBody(route.body, bundle) }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.replies).map(([status, reply]) => [status, describeReply(reply, route, bundle)]),
      ),
      default: {
        description: 'A problem (RFC 9457).',
        content: { [problemType]: { schema: bundle.use('rest.json#/properties/problem') } },
      },
    },
  };
}

function describeParameter(parameter: Parameter, bundle: Bundle): Node {
  return {
    name: parameter.name,
    in: parameter.in,
    description: parameter.description,
    schema: parameter.schema === undefined ? { type: parameter.type } : bundle.use(parameter.schema),
  };
}

function describeReply(reply: ReplySpec, route: Route, bundle: Bundle): Node {
  const schema = reply.schema === undefined ? { type: 'string' } : bundle.use(reply.schema);
  const headers = (reply.headers ?? []).map((name) => [name, headerSpecs[name]] as const);
  const empty = reply.schema === undefined && route.produces === 'application/json';
  return {
    description: reply.description,
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
    ...(empty ? {} : { content: { [route.produces]: { schema } } }),
  };
}

function describeBody(body: BodySpec, bundle: Bundle): Node {
  const whole = bundle.copy(body.schema);
  const properties = Object.entries(whole.properties as Node).filter(([name]) => !body.without.includes(name));
  const required = ((whole.required ?? []) as readonly string[]).filter((name) => !body.without.includes(name));
  const { required: _, ...others } = whole;
  const schema = {
    ...others,
    properties: Object.fromEntries(properties),
    ...(required.length === 0 ? {} : { required }),
  };
  return { required: body.required, content: { 'application/json': { schema } } };
}

interface Bundle {
  readonly schemas: Readonly<Record<string, Node>>;
  /** Puts a schema among the components; answers a reference to it. */
  use(reference: string): Node;
  /** A schema itself, with its references turned into ones to components. */
  copy(reference: string): Node;
}

function createBundle(): Bundle {
  const schemas: Record<string, Node> = {};
  const sources = new Map<string, string>();

  function use(reference: string): Node {
    const target = resolve(reference);
    const name = typeof target.title === 'string' ? target.title : camelCase(reference);
    const source = sources.get(name);
    if (source !== undefined && source !== reference) throw new Error(`two schemas are called ${name}`);
    if (source === undefined) {
      sources.set(name, reference);
      schemas[name] = copy(reference);
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  function copy(reference: string): Node {
    const [file = ''] = reference.split('#');
    const { $schema: _schema, $id: _id, $defs: _defs, ...rest } = rewrite(resolve(reference), file) as Node;
    return rest;
  }

  function rewrite(value: unknown, file: string): unknown {
    if (Array.isArray(value)) return value.map((each) => rewrite(each, file));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const reference = (value as Node).$ref;
    if (typeof reference === 'string') {
      const target = use(reference.startsWith('#') ? `${file}${reference}` : reference);
      return { ...Object.fromEntries(entries.filter(([name]) => name !== '$ref')), ...target };
    }
    return Object.fromEntries(entries.filter(([name]) => name !== '$defs').map(([k, v]) => [k, rewrite(v, file)]));
  }

  return { schemas, use, copy };
}

function resolve(reference: string): Node {
  const [file = '', pointer = ''] = reference.split('#');
  const parts = pointer.split('/').filter((part) => part !== '');
  const found = parts.reduce<unknown>((node, part) => (node as Node | undefined)?.[part], files[file]);
  if (typeof found !== 'object' || found === null) throw new Error(`no schema ${reference}`);
  return found as Node;
}

/** `common.json#/$defs/instance_state` is `InstanceState`. */
function camelCase(reference: string): string {
  const last = reference.split(/[#/]/).at(-1) ?? reference;
  return last.replaceAll(/(?:^|[_.-])(\w)/g, (_, letter: string) => letter.toUpperCase());
}
