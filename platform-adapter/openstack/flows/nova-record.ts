import type { Json, JsonObject } from '../../../core/units.ts';
import type { Conductor } from '../wire/conductor.ts';
import { getInstance, type NovaInstance, type SaveOptions, saveInstance } from '../wire/instances.ts';
import { isNova } from '../wire/nova-errors.ts';
import { novaDate } from '../wire/objects.ts';
import { type Flow, type Stage, sentInstance } from './flow.ts';

/** nova.compute.power_state. */
export const powerStates = { nostate: 0, running: 1, paused: 3, shutdown: 4, crashed: 6, suspended: 7 } as const;

/** Fields of a server that is on no host, and so in no zone. */
export const nowhere: JsonObject = { host: null, node: null, launched_on: null, availability_zone: null };

/** Fields of a server that has come to this host: the conductor sends it with the zone of the host that it has chosen, which is nowhere else yet. */
export function hereNow(flow: Flow): JsonObject {
  const { host, node } = flow.settings;
  return { host, node, launched_on: host, ...zoneSent(flow) };
}

/** The zone that a request came with, if any. */
export function zoneSent(flow: Flow): JsonObject {
  const { availability_zone } = sentInstance(flow);
  return availability_zone === null ? {} : { availability_zone };
}

/** Now, as nova's objects hold it. */
export function novaNow(flow: Flow): string {
  return novaDate(flow.parts.clock.wallMs());
}

/** What a save sets, from what earlier stages answered. */
export type Changes = JsonObject | ((output: (stage: string) => Json) => JsonObject);

/**
 * Saves fields of the server; with `expected`, only from these task states (null: none), where the state that it sets counts too,
 * since it may be a repeat.
 * @throws TaskStateError, `not_found` (InstanceNotFound).
 */
export function saveStage(flow: Flow, name: string, changes: Changes, expected?: readonly (string | null)[]): Stage {
  return {
    name,
    async run({ signal, output }) {
      const set = typeof changes === 'function' ? changes(output) : changes;
      const options: SaveOptions = expected === undefined ? {} : { expectedTaskState: expected, repeat: true };
      await saveInstance(flow.conductor(signal), flow.instance, set, options);
      return undefined;
    },
  };
}

/** The server's record as it is now; undefined where nova has it no more. */
export async function currentInstance(
  conductor: Conductor,
  uuid: string,
  expected: readonly string[] = [],
): Promise<NovaInstance | undefined> {
  try {
    const found = await getInstance(conductor, uuid, expected);
    return found.deleted ? undefined : found;
  } catch (error) {
    if (isNova(error, 'InstanceNotFound')) return undefined;
    throw error;
  }
}

/** Runs what may find the server or its parts gone; answers whether it was there. */
export async function ifThere(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (
      isNova(
        error,
        'InstanceNotFound',
        'InstanceActionNotFound',
        'InstanceActionEventNotFound',
        'InstanceInfoCacheNotFound',
        'VolumeBDMNotFound',
        'MigrationNotFound',
      )
    )
      return false;
    throw error;
  }
}
