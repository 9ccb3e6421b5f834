/** Steps on the card that disks and NICs share. Names are `<disk|nic>:<what>:<volume or port id>`. */

import { DpuError } from '../../core/errors.ts';
import type { Step } from '../../core/operation/plan.ts';
import type { FunctionSpec, FunctionState } from '../../core/ports/snic-controller.ts';
import type { RecordChange } from '../../core/records.ts';
import type { FunctionId, InstanceId, Json } from '../../core/units.ts';
import { stepRetry } from './deadlines.ts';
import type { DeviceParts } from './parts.ts';

/** A device of an instance, as far as the card is concerned. */
export interface Device {
  readonly kind: 'disk' | 'nic';
  /** Id of its volume or port. */
  readonly key: string;
  readonly functionId: FunctionId;
}

/** Name of a step of a device. */
export function deviceStep(device: Pick<Device, 'kind' | 'key'>, what: string): string {
  return `${device.kind}:${what}:${device.key}`;
}

/** The row of a function that the card is about to be asked for. */
export function intendedFunction(instance: InstanceId, spec: Omit<FunctionSpec, 'features'>): RecordChange {
  return {
    type: 'function',
    record: {
      id: spec.id,
      instance,
      type: spec.type,
      class: spec.class,
      role: spec.mark.role,
      phase: 'intended',
      mac: spec.mac,
      bdf: null,
      bdfState: 'pending',
      representor: null,
      vuid: null,
    },
  };
}

/** The row's change once the card made the function. */
export function madeFunction(state: FunctionState): RecordChange {
  const { id, mac, bdf, bdfState, representor, vuid } = state;
  return { type: 'function-patch', id, patch: { phase: 'made', mac, bdf, bdfState, representor, vuid } };
}

/** Shows the function to the host. Undo: takes it from its sight again, with the host's consent while it runs. */
export function plugStep(parts: DeviceParts, device: Device, after: readonly string[], deadlineMs: number): Step {
  return {
    name: deviceStep(device, 'plug'),
    after,
    deadlineMs,
    retry: stepRetry,
    async run({ signal }) {
      const { bdf, bdfState } = await parts.snic.plugFunction(device.functionId, signal);
      return {
        output: { bdf, bdfState },
        changes: [{ type: 'function-patch', id: device.functionId, patch: { phase: 'plugged', bdf, bdfState } }],
      };
    },
    async undo({ signal }) {
      return { changes: await unplug(parts, device, signal) };
    },
  };
}

/** Takes the function from the host's sight; `busy`, when the host holds on to it, is tried again. */
export function unplugStep(parts: DeviceParts, device: Device, after: readonly string[], deadlineMs: number): Step {
  return {
    name: deviceStep(device, 'unplug'),
    after,
    deadlineMs,
    retry: stepRetry,
    async run({ signal }) {
      return { changes: await unplug(parts, device, signal) };
    },
  };
}

/** Gives the function back to the card; its row goes. */
export function releaseStep(parts: DeviceParts, device: Device, after: readonly string[]): Step {
  return {
    name: deviceStep(device, 'release'),
    after,
    deadlineMs: parts.deadlines.functionMs,
    retry: stepRetry,
    async run({ signal }) {
      await parts.snic.releaseFunction(device.functionId, signal);
      return { changes: [{ type: 'function-gone', id: device.functionId }] };
    },
  };
}

/**
 * `instance:record`: writes down the addresses that the host gave the functions by now; those it has not enumerated
 * yet stay `pending`. Never fails because the card is away: reconcile reads the addresses again.
 */
export function recordStep(parts: DeviceParts, functions: readonly FunctionId[], after: readonly string[]): Step {
  return {
    name: 'instance:record',
    after,
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    async run({ signal }) {
      const seen = await seenFunctions(parts, functions, signal);
      const changes = seen.map(
        ({ id, bdf, bdfState }): RecordChange => ({ type: 'function-patch', id, patch: { bdf, bdfState } }),
      );
      return {
        output: seen.map(({ id, bdf, bdfState }): Json => ({ function_id: id, bdf, bdf_state: bdfState })),
        changes,
      };
    },
  };
}

async function seenFunctions(
  parts: DeviceParts,
  functions: readonly FunctionId[],
  signal: AbortSignal,
): Promise<readonly FunctionState[]> {
  try {
    const all = await parts.snic.listFunctions(signal);
    return all.filter((each) => functions.includes(each.id));
  } catch (error) {
    // An address that reconcile reads a moment later is no reason to hold up an instance that runs.
    if (error instanceof DpuError && !signal.aborted) return [];
    throw error;
  }
}

async function unplug(parts: DeviceParts, device: Device, signal: AbortSignal): Promise<readonly RecordChange[]> {
  await parts.snic.unplugFunction(device.functionId, { deadlineMs: parts.deadlines.hostReleaseMs }, signal);
  return [
    {
      type: 'function-patch',
      id: device.functionId,
      patch: { phase: 'made', bdf: null, bdfState: 'pending' },
    },
  ];
}
