import type { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { rescheduleBuild } from '../wire/compute-task.ts';
import { type NovaInstance, saveInstance } from '../wire/instances.ts';
import { faultOf, isNova, isTaskStateError, novaError } from '../wire/nova-errors.ts';
import { isPrimitive } from '../wire/objects.ts';
import { type FailurePolicy, putBack, type WayBack, writeFault } from './bracket.ts';
import type { Flow } from './flow.ts';
import { currentInstance, ifThere, nowhere } from './nova-record.ts';

/** What the schedulers said of earlier tries; null: this build is not to be tried again. */
function retryOf(flow: Flow): JsonObject | null {
  const { filter_properties: properties } = flow.request.reschedule as JsonObject;
  const retry = (properties as JsonObject | null)?.retry;
  return typeof retry === 'object' && retry !== null && !Array.isArray(retry) ? (retry as JsonObject) : null;
}

/**
 * Whether another host may do better: the node refused the server, Neutron could not bind to this host, or the node failed to make it. Ports and
 * volumes fail alike everywhere else. What is left here would be in another host's way.
 */
function mayTryElsewhere(error: DpuError, { reached, left }: WayBack): boolean {
  if (left.length > 0 || isNova(error, 'BuildAbortException')) return false;
  return !reached('claim') || reached('spawning') || isNova(error, 'PortBindingFailed', 'GroupAffinityViolation');
}

/** How long the conductor has to begin with what it was handed, in milliseconds, and how often that is looked for. */
const takenMs = 30_000;
const lookEveryMs = 1_000;

/** Whether nova has the server as one that waits for a host: it was handed back, or is about to be. */
function waitsForHost({ host, vm_state, task_state }: NovaInstance): boolean {
  return host === null && vm_state === 'building' && task_state === 'scheduling';
}

/**
 * Whether the conductor has taken a server that waits for a host: before a restart we may have handed it back. Twice would be two builds. Nothing but its
 * work tells: a place on another host, or another state. A ping waits behind what we cast, so its answer says that this was delivered.
 */
async function wasTaken(flow: Flow, signal: AbortSignal): Promise<boolean> {
  const { placement, clock } = flow.parts;
  const conductor = flow.conductor(signal);
  const options = { signal, requestId: flow.context.request_id };
  await conductor.ping();
  const own = await placement.findProviderByName(flow.settings.node, options);
  const endsAt = clock.monotonicMs() + takenMs;
  for (;;) {
    const now = await currentInstance(conductor, flow.instance);
    if (now === undefined || !waitsForHost(now)) return true;
    const { allocations } = await placement.getAllocations(flow.instance, options);
    if (Object.keys(allocations).some((provider) => provider !== own?.uuid)) return true;
    if (clock.monotonicMs() >= endsAt) return false;
    await clock.sleep(lookEveryMs, signal);
  }
}

/** A server as it came, with fields that were saved since. */
function withFields(instance: Json, saved: JsonObject): Json {
  if (!isPrimitive(instance)) return instance;
  return { ...instance, 'nova_object.data': { ...instance['nova_object.data'], ...saved } } as unknown as Json;
}

/** Hands the server back to the conductor, which tries the next of its hosts, or puts it into error where there is none. */
async function reschedule(flow: Flow, error: DpuError, retry: JsonObject, signal: AbortSignal): Promise<void> {
  const conductor = flow.conductor(signal);
  const now = await currentInstance(conductor, flow.instance);
  if (now === undefined || now.task_state === 'deleting') return;
  // handed back before a restart: the next host has it, or there was none
  if (now.vm_state === 'error' || (now.host !== null && now.host !== flow.settings.host)) return;
  if (waitsForHost(now) && (await wasTaken(flow, signal))) return;
  const back = { ...nowhere, task_state: 'scheduling' };
  try {
    await ifThere(saveInstance(conductor, flow.instance, back, { expectedTaskState: [now.task_state], repeat: true }));
  } catch (failure) {
    if (isTaskStateError(failure)) return; // a delete has it since we looked
    throw failure;
  }
  await flow.parts.placement.deleteAllocations(flow.instance, { signal, requestId: flow.context.request_id });
  const { message } = faultOf(error);
  const args = flow.request.reschedule as JsonObject;
  const { instance, filter_properties: properties, host_list: hosts, block_device_mapping: _, ...rest } = args;
  await rescheduleBuild(conductor, {
    ...rest,
    // the conductor saves what it changes of what it is sent
    instances: [withFields(instance ?? null, back)],
    filter_properties: {
      ...(properties as JsonObject),
      retry: { ...retry, exc: [message], exc_reason: message },
    },
    host_lists: hosts === null || hosts === undefined ? null : [hosts],
  });
}

/**
 * What nova is told of a build that failed: the conductor gets it back where another host may do better, else the server is in error, on no
 * host, with its fault, and holds nothing. Where something could not be given back, it stays this host's, for a delete to try again.
 */
export const buildFailure: FailurePolicy = {
  fault: true,
  async instead(flow, error, signal, wayBack) {
    const retry = retryOf(flow);
    const { reached, left } = wayBack;
    const isPolicy = isNova(error, 'GroupAffinityViolation');
    if (!isPolicy) flow.parts.buildEnded?.(false);
    if (retry !== null && mayTryElsewhere(error, wayBack)) {
      await reschedule(flow, error, retry, signal);
      return;
    }
    const { message } = faultOf(error);
    const told = reached('spawning')
      ? error
      : novaError('BuildAbortException', { instance_uuid: flow.instance, reason: message }, { cause: error });
    await writeFault(flow, told, signal);
    // a delete comes to the host that the server is on: to us, where something is left
    await putBack(flow, 'error', signal, { more: left.length > 0 ? {} : nowhere });
    await flow.parts.placement.deleteAllocations(flow.instance, { signal, requestId: flow.context.request_id });
    flow.parts.resourcesChanged();
  },
};
