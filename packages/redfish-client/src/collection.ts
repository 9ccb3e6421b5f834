import type { RedfishClient } from './client.ts';
import { ProtocolError } from './errors.ts';
import { type Gathered, type Problem, problemOf } from './gathered.ts';
import { arrayOf, isObject, type JsonObject, numberOf, textOf } from './json.ts';
import type { CallOptions } from './signals.ts';

/** A resource as it was read. */
export type Resource = {
  readonly path: string;
  readonly body: JsonObject;
  readonly etag: string | undefined;
};

const MAX_PAGES = 1000;

/**
 * The members of a collection over all its pages (DSP0266 "Resource collections"): by `Members@odata.nextLink`, and by `$skip`
 * where a service sends fewer than `Members@odata.count` and no link. A member is what the service put there: a reference, or a whole
 * resource.
 * @throws ProtocolError for pages that run in a circle, and as `get`.
 */
export async function* members(
  client: RedfishClient,
  path: string,
  options: CallOptions = {},
): AsyncGenerator<JsonObject, void, undefined> {
  const pages = new Set<string>();
  const seen = new Set<string>();
  let count = 0;
  let next: string | undefined = path;
  while (next !== undefined) {
    if (pages.has(next) || pages.size >= MAX_PAGES) throw new ProtocolError(`${path}: pages without end`);
    pages.add(next);
    const { body } = await client.getPart(next, options);
    const page = arrayOf(body, 'Members').filter(isObject);
    let fresh = 0;
    for (const member of page) {
      count++;
      const id = textOf(member, '@odata.id');
      if (id !== undefined && seen.has(id)) continue;
      if (id !== undefined) seen.add(id);
      fresh++;
      yield member;
    }
    const total = numberOf(body, 'Members@odata.count') ?? 0;
    next = textOf(body, 'Members@odata.nextLink');
    // A service that ignores $skip sends the first page again: nothing new means the end.
    if (next === undefined && count < total && fresh > 0)
      next = `${path}${path.includes('?') ? '&' : '?'}$skip=${count}`;
  }
}

/** Reads resources side by side. One that cannot be read becomes a problem; the caller's signal and deadline end it all. */
export async function readAll(
  client: RedfishClient,
  paths: readonly string[],
  options: CallOptions = {},
): Promise<Gathered<Resource>> {
  const problems: Problem[] = [];
  const read = async (path: string): Promise<readonly Resource[]> => {
    try {
      const { body, etag } = await client.getPart(path, options);
      return [{ path, body, etag }];
    } catch (error) {
      problems.push(problemOf(path, error));
      return [];
    }
  };
  const items = (await Promise.all([...new Set(paths)].map(read))).flat();
  return { items, problems };
}

/** Every member of a collection, read. A collection that is missing or breaks off, and members that answer errors, become problems. */
export async function readCollection(
  client: RedfishClient,
  path: string | undefined,
  options: CallOptions = {},
): Promise<Gathered<Resource>> {
  if (path === undefined) return { items: [], problems: [] };
  const whole: Resource[] = [];
  const references: string[] = [];
  const problems: Problem[] = [];
  try {
    for await (const member of members(client, path, options)) {
      const id = textOf(member, '@odata.id');
      if (Object.keys(member).length > 1 && id !== undefined && textOf(member, '@odata.type') !== undefined)
        whole.push({ path: id, body: member, etag: textOf(member, '@odata.etag') });
      else if (id !== undefined) references.push(id);
    }
  } catch (error) {
    problems.push(problemOf(path, error));
  }
  const read = await readAll(client, references, options);
  return { items: [...whole, ...read.items], problems: [...problems, ...read.problems] };
}
