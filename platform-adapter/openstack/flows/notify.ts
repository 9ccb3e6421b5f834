/** Notifications of a flow: stages between its own, each told at least once, and none worth the flow. */

import { hasCode } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import type { NotificationKind, NotificationPriority } from '../notifications/notifier.ts';
import {
  diskPayload,
  exceptionPayload,
  legacyFault,
  legacyPayload,
  versionedPayload,
} from '../notifications/payloads.ts';
import { listBlockDevices } from '../wire/block-devices.ts';
import type { Conductor } from '../wire/conductor.ts';
import { getInstancePrimitive } from '../wire/instances.ts';
import type { Primitive } from '../wire/objects.ts';
import type { Flow, Stage } from './flow.ts';
import {
  failures,
  type NotifiedEvent,
  type NotifiedPoint,
  points,
  withDisks,
  withoutException,
} from './notify-points.ts';

/** What a server's notifications need of its record. */
const expected = ['flavor', 'info_cache', 'metadata', 'system_metadata', 'keypairs', 'tags'];

/** What is told of, and how. */
interface Telling {
  readonly flow: Flow;
  readonly signal: AbortSignal;
  readonly priority: NotificationPriority;
}

async function tell({ flow, signal, priority }: Telling, kind: NotificationKind, name: string, payload: JsonObject) {
  try {
    await flow.parts.notifier?.send(kind, name, payload, { context: flow.context, signal, priority });
  } catch (error) {
    if (signal.aborted) throw error;
    // as nova's own: who listens to the cloud must not be able to stop it
    flow.parts.log.warn('a notification was not sent', { flow: flow.id, event: name, error });
  }
}

/** The server as it is now; undefined where nova has it no more. @throws `unavailable`, `timeout`. */
async function serverOf(flow: Flow, conductor: Conductor): Promise<Primitive | undefined> {
  try {
    return await getInstancePrimitive(conductor, flow.instance, expected);
  } catch (error) {
    if (hasCode(error, 'unavailable') || hasCode(error, 'timeout')) throw error;
    if (!hasCode(error, 'not_found')) flow.parts.log.warn('a notification was not sent', { flow: flow.id, error });
    return undefined; // a delete has it by now
  }
}

async function disksOf(flow: Flow, conductor: Conductor): Promise<JsonObject> {
  if (!withDisks.has(flow.method)) return {};
  const devices = await listBlockDevices(conductor, flow.instance);
  return { block_devices: devices.filter(({ volume_id }) => volume_id !== null).map(diskPayload) };
}

/** Tells both kinds of it, each where it is asked for. */
async function tellEvent(
  telling: Telling,
  instance: Primitive,
  event: NotifiedEvent,
  disks: JsonObject,
  failed?: unknown,
) {
  const { flow, signal } = telling;
  const { legacy, versioned, payload = 'InstanceActionPayload' } = event;
  const { notifier } = flow.parts;
  if (legacy !== undefined && notifier?.sends('legacy')) {
    const more = await event.legacyMore?.(flow, instance, signal);
    const said = legacyPayload(instance, { ...more, ...(failed === undefined ? {} : legacyFault(failed)) });
    await tell(telling, 'legacy', `compute.instance.${legacy}`, said);
  }
  if (versioned !== undefined && notifier?.sends('versioned')) {
    // `exists` has no disks, and tells of no failure
    const common = payload === 'InstanceExistsPayload' ? {} : { ...disks, fault: faultOf(flow, failed) };
    const said = versionedPayload(payload, instance, flow.context, { ...common, ...event.versionedMore?.(flow) });
    await tell(telling, 'versioned', `instance.${versioned}`, said);
  }
}

function faultOf(flow: Flow, failed: unknown): Json {
  return failed === undefined ? null : exceptionPayload(flow.method, failed);
}

function stageOf(flow: Flow, { after, events }: NotifiedPoint): Stage {
  return {
    name: `notify:${after}`,
    async run({ signal }) {
      if (!flow.parts.notifier) return undefined;
      // one that was deleted just now is told of, too
      const conductor = flow.adminConductor(signal, flow.method === 'terminate_instance' ? 'yes' : 'no');
      const instance = await serverOf(flow, conductor);
      if (instance === undefined) return undefined;
      const disks = await disksOf(flow, conductor);
      for (const event of events) await tellEvent({ flow, signal, priority: 'info' }, instance, event, disks);
      return undefined;
    },
  };
}

/** The stages with those that tell of them, where the request came while notifications were asked for. */
export function withNotifications(flow: Flow, stages: readonly Stage[]): readonly Stage[] {
  const told = flow.request.notify === true ? points[flow.method] : undefined;
  if (told === undefined) return stages;
  return stages.flatMap((stage) => [
    stage,
    ...told.filter(({ after }) => after === stage.name).map((point) => stageOf(flow, point)),
  ]);
}

/**
 * Tells that a method of nova failed: `.error` of its event where it has one, and `compute.exception` (legacy: of the method's own name) where nova's own
 * would have let the exception go. The legacy one says of the arguments the server's id alone.
 */
export async function tellOfFailure(flow: Flow, error: unknown, signal: AbortSignal): Promise<void> {
  const { notifier } = flow.parts;
  if (!notifier || flow.request.notify !== true || flow.event === null) return;
  const telling: Telling = { flow, signal, priority: 'error' };
  const event = failures[flow.method];
  if (event !== undefined) {
    const conductor = flow.adminConductor(signal, 'yes');
    const instance = await serverOf(flow, conductor);
    if (instance !== undefined) await tellEvent(telling, instance, event, await disksOf(flow, conductor), error);
  }
  if (withoutException.has(flow.method)) return;
  if (notifier.sends('legacy')) {
    const { exception = null } = legacyFault(error);
    await tell(telling, 'legacy', flow.method, { exception, args: { instance: { uuid: flow.instance } } });
  }
  if (notifier.sends('versioned'))
    await tell(telling, 'versioned', 'compute.exception', exceptionPayload(flow.method, error));
}
