import { DpuError } from '../../core/errors.ts';
import { validate } from '../../kit/validate.ts';
import type { Parameter } from './route.ts';

type Query = Readonly<Record<string, string | number | boolean>>;

/**
 * The query of a request: only what the route declares, each once, converted and checked.
 * @throws DpuError `invalid` that names the parameter.
 */
export function readQuery(url: string, parameters: readonly Parameter[]): Query {
  const at = url.indexOf('?');
  const pairs = [...new URLSearchParams(at === -1 ? '' : url.slice(at + 1))];
  const query: Record<string, string | number | boolean> = {};
  for (const [name, text] of pairs) {
    const parameter = parameters.find((each) => each.in === 'query' && each.name === name);
    const shown = /^[\w-]{1,64}$/.test(name) ? name : 'a name';
    if (parameter === undefined) throw new DpuError('invalid', `query: ${shown} is not known`, { field: shown });
    if (Object.hasOwn(query, name)) throw new DpuError('invalid', `query: ${name} is given twice`, { field: name });
    query[name] = convert(parameter, text);
  }
  return query;
}

/** How long the client wants to wait, by `?wait=true` or `Prefer: wait=N` (RFC 7240 4.3), at most `maxMs`; 0: not at all. */
export function readWait(query: Query, prefer: string | undefined, maxMs: number): number {
  const seconds = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer ?? '')?.[1];
  if (query.wait === false) return 0;
  if (seconds !== undefined) return Math.min(Number(seconds) * 1000, maxMs);
  return query.wait === true ? maxMs : 0;
}

function convert(parameter: Parameter, text: string): string | number | boolean {
  const field = parameter.name;
  const value = parse(parameter.type, text);
  if (value === undefined) throw new DpuError('invalid', `query: ${field} must be ${parameter.type}`, { field });
  if (parameter.schema === undefined) return value;
  try {
    return validate<string | number>(parameter.schema, value, field);
  } catch (cause) {
    throw new DpuError('invalid', `query: ${field} is not valid`, { field, cause });
  }
}

function parse(type: Parameter['type'], text: string): string | number | boolean | undefined {
  if (type === 'string') return text;
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}
