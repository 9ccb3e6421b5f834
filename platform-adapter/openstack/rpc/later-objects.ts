import { RpcFailure } from 'oslo-messaging';
import type { Log } from '../../../core/ports/log.ts';
import type { Conductor } from '../wire/conductor.ts';
import { isPrimitive, type Primitive } from '../wire/objects.ts';
import { isNewer, type Release, versionKnownAt } from '../wire/releases.ts';
import { minimumServiceVersion } from '../wire/service-records.ts';

type Arguments = Readonly<Record<string, unknown>>;

/**
 * A request's arguments as our release knows them: objects of a later one are brought back by nova-conductor, as nova's own services have it. One that
 * it does not bring back is read as it is where only its minor version is beyond ours: then it has more fields, and none that differ. What the control
 * plane can't know itself is not asked of it: a conductor that is asked for it asks itself, without end.
 * @throws what the conductor answers, where the major version is beyond ours; RpcFailure as IncompatibleObjectVersion where it is beyond the conductor's, too.
 */
export async function readableArguments(
  args: Arguments,
  release: Release,
  conductor: () => Conductor,
  log: Log,
): Promise<Arguments> {
  const entries = Object.entries(args);
  if (!entries.some(([, value]) => isLater(value, release))) return args;

  let controlPlane: Promise<number> | undefined;
  async function broughtBack(value: Primitive): Promise<Primitive> {
    const asked = conductor();
    controlPlane ??= minimumServiceVersion(asked, 'nova-conductor');
    const theirs = versionKnownAt(await controlPlane, value['nova_object.name']);
    if (theirs !== undefined && isNewer(value['nova_object.version'], theirs)) throw incompatible(value, release);
    return await asked.readable(value);
  }

  async function readable(value: unknown): Promise<unknown> {
    if (Array.isArray(value)) return await Promise.all(value.map(readable));
    if (!isPrimitive(value) || !isLater(value, release)) return value;
    try {
      return await broughtBack(value);
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

/** What nova's services say of an object that is not theirs (oslo.versionedobjects). */
function incompatible(value: Primitive, release: Release): RpcFailure {
  const objname = value['nova_object.name'];
  const objver = value['nova_object.version'];
  const supported = release.objects[objname] ?? '';
  return new RpcFailure({
    rpcClass: 'IncompatibleObjectVersion',
    rpcModule: 'oslo_versionedobjects.exception',
    message: `Version ${objver} of ${objname} is not supported, supported version is ${supported}`,
    rpcKwargs: { objname, objver, supported },
  });
}

function isLaterMajor(value: Primitive, release: Release): boolean {
  const ours = release.objects[value['nova_object.name']] ?? '';
  return Number.parseInt(value['nova_object.version'], 10) > Number.parseInt(ours, 10);
}
