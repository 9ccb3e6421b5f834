import type { Log } from '../../../core/ports/log.ts';
import type { Conductor } from '../wire/conductor.ts';
import { isPrimitive, type Primitive } from '../wire/objects.ts';
import { isNewer, type Release } from '../wire/releases.ts';

type Arguments = Readonly<Record<string, unknown>>;

/**
 * A request's arguments as our release knows them: objects of a later one are brought back by nova-conductor, as nova's own services have it. One that
 * it does not bring back is read as it is where only its minor version is beyond ours: then it has more fields, and none that differ.
 * @throws what the conductor answers, where the major version is beyond ours.
 */
export async function readableArguments(
  args: Arguments,
  release: Release,
  conductor: () => Conductor,
  log: Log,
): Promise<Arguments> {
  const entries = Object.entries(args);
  if (!entries.some(([, value]) => isLater(value, release))) return args;

  async function readable(value: unknown): Promise<unknown> {
    if (Array.isArray(value)) return await Promise.all(value.map(readable));
    if (!isPrimitive(value) || !isLater(value, release)) return value;
    try {
      return await conductor().readable(value);
    } catch (error) {
      if (isLaterMajor(value, release)) throw error;
      const { 'nova_object.name': name, 'nova_object.version': version } = value;
      log.warn('an object of a later release of nova is read as it is', { name, version, error });
      return value;
    }
  }

  return Object.fromEntries(await Promise.all(entries.map(async ([name, value]) => [name, await readable(value)])));
}

/** Whether a value is an object of a later release, or a list with one in it. */
function isLater(value: unknown, release: Release): boolean {
  if (Array.isArray(value)) return value.some((each: unknown) => isPrimitive(each) && isLater(each, release));
  if (!isPrimitive(value)) return false;
  const ours = release.objects[value['nova_object.name']];
  return ours !== undefined && isNewer(value['nova_object.version'], ours);
}

function isLaterMajor(value: Primitive, release: Release): boolean {
  const ours = release.objects[value['nova_object.name']] ?? '';
  return Number.parseInt(value['nova_object.version'], 10) > Number.parseInt(ours, 10);
}
