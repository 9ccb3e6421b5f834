import type { Instance } from '../../schemas/generated/instance.ts';
import type { Context } from './command.ts';
import { CliError, exitCode, usage } from './exit-code.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Everything of a list that comes by pages. */
export async function pages(context: Context, path: string, name: string): Promise<readonly Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  let cursor: string | undefined;
  do {
    const mark = path.includes('?') ? '&' : '?';
    const query = cursor === undefined ? path : `${path}${mark}cursor=${encodeURIComponent(cursor)}`;
    const page = (await context.client.ask('GET', query)) as Record<string, unknown>;
    all.push(...(page[name] as Record<string, unknown>[]));
    cursor = page.next as string | undefined;
  } while (cursor !== undefined);
  return all;
}

/** The path of the instance that the first argument names: by uuid, by name, or by the beginning of a uuid, where that is one's alone. */
export async function instancePath(context: Context): Promise<string> {
  const wanted = context.args[0] ?? '';
  if (uuid.test(wanted)) return `/v1/instances/${wanted}`;
  const all = (await pages(context, '/v1/instances', 'instances')) as unknown as readonly Instance[];
  const byName = all.filter((each) => each.name === wanted);
  const byBeginning = /^[0-9a-f-]{6,}$/.test(wanted) ? all.filter((each) => each.uuid.startsWith(wanted)) : [];
  const named = byName.length > 0 ? byName : byBeginning;
  if (named.length > 1)
    throw usage(`several instances are meant by this: ${named.map((each) => each.uuid).join(', ')}`);
  const [one] = named;
  if (one === undefined) throw new CliError(exitCode.notFound, 'there is no such instance (not_found)');
  return `/v1/instances/${one.uuid}`;
}
