import type { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import { rescheduleBuild } from '../wire/compute-task.ts';
import { saveInstance } from '../wire/instances.ts';
import { faultOf, isNova, isTaskStateError, novaError } from '../wire/nova-errors.ts';
import { type FailurePolicy, putBack, writeFault } from './bracket.ts';
import type { Flow } from './flow.ts';
import { currentInstance, ifThere } from './nova-record.ts';

/** A server that is on no host. */
const nowhere: JsonObject = { host: null, node: null };

/** What the schedulers said of earlier tries; null: this build is not to be tried again. */
function retryOf(flow: Flow): JsonObject | null {
  const { filter_properties: properties } = flow.request.reschedule as JsonObject;
  const retry = (properties as JsonObject | null)?.retry;
  return typeof retry === 'object' && retry !== null && !Array.isArray(retry) ? (retry as JsonObject) : null;
}

/** Whether another host may do better: the node refused the server, or failed to make it. Ports and volumes fail alike everywhere. */
function mayTryElsewhere(reached: (stage: string) => boolean): boolean {
  return !reached('claim') || reached('spawning');
}

/** Hands the server back to the conductor, which tries the next of its hosts, or puts it into error where there is none. */
async function reschedule(flow: Flow, error: DpuError, retry: JsonObject, signal: AbortSignal): Promise<void> {
  const conductor = flow.conductor(signal);
  const now = await currentInstance(conductor, flow.instance);
  if (now === undefined || now.task_state === 'deleting') return;
  if (now.host !== null && now.host !== flow.settings.host) return; // handed back before a restart: the next host has it
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
    instances: [instance ?? null],
    filter_properties: {
      ...(properties as JsonObject),
      retry: { ...retry, exc: [message], exc_reason: message },
    },
    host_lists: hosts === null || hosts === undefined ? null : [hosts],
  });
}

/**
 * What nova is told of a build that failed: the conductor gets it back where another host may do better, else the server is in error, on no
 * host, with its fault, and holds nothing.
 */
export const buildFailure: FailurePolicy = {
  fault: true,
  async instead(flow, error, signal, reached) {
    const retry = retryOf(flow);
    if (mayTryElsewhere(reached) && retry !== null && !isNova(error, 'BuildAbortException')) {
      await reschedule(flow, error, retry, signal);
      return;
    }
    const { message } = faultOf(error);
    const told = reached('spawning')
      ? error
      : novaError('BuildAbortException', { instance_uuid: flow.instance, reason: message }, { cause: error });
    await writeFault(flow, told, signal);
    await putBack(flow, 'error', signal, { more: nowhere });
    await flow.parts.placement.deleteAllocations(flow.instance, { signal, requestId: flow.context.request_id });
    flow.parts.resourcesChanged();
  },
};
