/** Checks of everything that comes from outside, by the schemas. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { DpuError } from '../core/errors.ts';
import commonSchema from '../schemas/common.json' with { type: 'json' };
import configSchema from '../schemas/config.json' with { type: 'json' };
import instanceSchema from '../schemas/instance.json' with { type: 'json' };
import nodeStatusSchema from '../schemas/node-status.json' with { type: 'json' };
import operationSchema from '../schemas/operation.json' with { type: 'json' };
import restSchema from '../schemas/rest.json' with { type: 'json' };
import rpcSchema from '../schemas/rpc.json' with { type: 'json' };
import snicConfigSchema from '../schemas/snic-config.json' with { type: 'json' };
import snicRpcSchema from '../schemas/snic-rpc.json' with { type: 'json' };

const ajv = new Ajv2020({
  strict: true,
  strictRequired: false,
  useDefaults: true,
  allErrors: false,
  allowUnionTypes: true,
  // Each start would pay for it: that the schemas are valid is a test's business, and a check runs seldom enough not to be optimised.
  meta: false,
  validateSchema: false,
  code: { optimize: false },
});
for (const schema of [
  commonSchema,
  configSchema,
  instanceSchema,
  nodeStatusSchema,
  operationSchema,
  restSchema,
  rpcSchema,
  snicConfigSchema,
  snicRpcSchema,
]) {
  ajv.addSchema(schema);
}

const compiled = new Map<string, ValidateFunction>();

/** Path of the part that is wrong, as people write it: `networks[0].mac`. */
function fieldOf(error: ErrorObject): string {
  const params = error.params as { additionalProperty?: string; missingProperty?: string; propertyName?: string };
  const extra = params.additionalProperty ?? params.missingProperty ?? params.propertyName;
  const path = [...error.instancePath.split('/').slice(1), ...(extra === undefined ? [] : [extra])];
  return path.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).reduce(joinPath, '');
}

function joinPath(path: string, part: string): string {
  if (/^\d+$/.test(part)) return `${path}[${part}]`;
  return path === '' ? part : `${path}.${part}`;
}

/** What a value could have been, where the schema lists that. */
function choicesOf(error: ErrorObject): string | undefined {
  const params = error.params as { allowedValues?: readonly unknown[]; allowedValue?: unknown };
  if (error.keyword === 'const') return `must be ${JSON.stringify(params.allowedValue)}`;
  if (error.keyword !== 'enum' || params.allowedValues === undefined) return undefined;
  return `must be one of ${params.allowedValues.map((value) => JSON.stringify(value)).join(', ')}`;
}

/** Of what each alternative finds wrong, the first that is furthest in: the alternative that was most likely meant. */
function deepest(errors: readonly ErrorObject[]): ErrorObject | undefined {
  const depth = (error: ErrorObject): number => error.instancePath.split('/').length;
  return errors.reduce<ErrorObject | undefined>(
    (best, error) => (best === undefined || depth(error) > depth(best) ? error : best),
    undefined,
  );
}

/**
 * Checks a value by a part of a schema (`rpc.json#/properties/…`, `config.json`) and fills in its defaults, in place.
 * @throws DpuError `invalid` that names the field and never quotes the value.
 */
export function validate<Type>(reference: string, value: unknown, what: string): Type {
  let check = compiled.get(reference);
  if (!check) {
    check = ajv.compile({ $ref: reference });
    compiled.set(reference, check);
  }
  if (check(value)) return value as Type;
  const error = deepest(check.errors ?? []);
  if (!error) throw new DpuError('invalid', `${what} is not valid`);
  const field = fieldOf(error);
  const reason =
    error.keyword === 'additionalProperties'
      ? 'is not known'
      : error.keyword === 'required'
        ? 'is missing'
        : (choicesOf(error) ?? error.message);
  throw new DpuError('invalid', `${what}: ${field === '' ? 'it' : field} ${reason ?? 'is not valid'}`, {
    ...(field === '' ? {} : { field }),
  });
}
