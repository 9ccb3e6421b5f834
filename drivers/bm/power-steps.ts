/** Steps on the host's power. The host has one owner at a time: all of them exclude each other on the node. */

import { DpuError, hasCode } from '../../core/errors.ts';
import type { Step } from '../../core/operation/plan.ts';
import type { FunctionId } from '../../core/units.ts';
import { stepRetry } from '../devices/deadlines.ts';
import type { BmParts } from './parts.ts';

const exclusive = 'host-power';

/** `host:off`: takes the power away; a host that is off already is fine. */
export function hostOffStep(parts: BmParts, after: readonly string[]): Step {
  return {
    name: 'host:off',
    after,
    deadlineMs: parts.deadlines.powerOffMs,
    retry: stepRetry,
    exclusive,
    async run({ signal }) {
      await parts.power.powerOff('hard', 0, signal);
      return {};
    },
  };
}

/** `host:keep`: leaves the power alone, since the host is another's. Stands where `host:off` would. */
export function hostKeepStep(parts: BmParts): Step {
  return {
    name: 'host:keep',
    after: [],
    deadlineMs: parts.deadlines.recordMs,
    retry: stepRetry,
    run: async () => ({}),
  };
}

/**
 * `host:soft-off`: asks the host to go off and waits `softTimeoutMs`. A host that takes no notice is no failure: the
 * output's `off` says how it went, and `host:off` comes behind.
 */
export function hostSoftOffStep(parts: BmParts, softTimeoutMs: number): Step {
  return {
    name: 'host:soft-off',
    after: [],
    deadlineMs: softTimeoutMs + parts.deadlines.powerOffMs,
    retry: stepRetry,
    exclusive,
    async run({ signal }) {
      try {
        await parts.power.powerOff('soft', softTimeoutMs, signal);
        return { output: { off: true } };
      } catch (error) {
        if (signal.aborted || !hasCode(error, 'timeout')) throw error;
        return { output: { off: false } };
      }
    },
  };
}

/**
 * `host:boot-device`: the next start is from this function. Where the BMC can't tell disks apart the host finds its
 * boot disk by its own order; the output's `chosen` says which.
 */
export function bootDeviceStep(parts: BmParts, boot: FunctionId, after: readonly string[]): Step {
  return {
    name: 'host:boot-device',
    after,
    deadlineMs: parts.deadlines.bootDeviceMs,
    retry: stepRetry,
    exclusive,
    run: async ({ signal }) => ({ output: { chosen: await chooseBoot(parts, boot, signal) } }),
  };
}

/** Has the host start from this function from now on; answers whether the BMC can choose that. */
export async function chooseBoot(parts: BmParts, boot: FunctionId, signal: AbortSignal): Promise<boolean> {
  const functions = await parts.snic.listFunctions(signal);
  const bdf = functions.find((each) => each.id === boot)?.bdf ?? null;
  try {
    await parts.power.setNextBoot({ functionId: boot, bdf }, signal);
    return true;
  } catch (error) {
    if (!hasCode(error, 'unsupported')) throw error;
    return false;
  }
}

/** `host:on`: ends when the host is on, and has its boot disk, null where it has none. Undo: takes the power away. */
export function hostOnStep(parts: BmParts, after: readonly string[], boot: FunctionId | null): Step {
  return {
    name: 'host:on',
    after,
    deadlineMs: parts.deadlines.powerOnMs,
    retry: stepRetry,
    exclusive,
    async run({ signal }) {
      await startWithBoot(parts, boot, () => parts.power.powerOn(signal), signal);
      return {};
    },
    async undo({ signal }) {
      await parts.power.powerOff('hard', 0, signal);
      return {};
    },
  };
}

/**
 * `host:reset`: restarts the host at once, with its boot disk, null where it has none. One that is off is switched on; where the BMC has no reset the
 * power goes off and on.
 */
export function hostResetStep(parts: BmParts, after: readonly string[], boot: FunctionId | null): Step {
  return {
    name: 'host:reset',
    after,
    deadlineMs: parts.deadlines.powerOffMs + parts.deadlines.powerOnMs,
    retry: stepRetry,
    exclusive,
    run: async ({ signal }) => ({
      output: { reset: await startWithBoot(parts, boot, () => resetOrCycle(parts, signal), signal) },
    }),
  };
}

/** Answers whether the BMC did it in one. */
async function resetOrCycle(parts: BmParts, signal: AbortSignal): Promise<boolean> {
  try {
    await parts.power.reset(signal);
    return true;
  } catch (error) {
    if (!hasCode(error, 'unsupported') && !hasCode(error, 'bad_state')) throw error;
    if (hasCode(error, 'unsupported')) await parts.power.powerOff('hard', 0, signal);
    await parts.power.powerOn(signal);
    return false;
  }
}

/**
 * Starts the host with its boot disk. A host whose power failed may have lost its functions: without the boot disk the start would end in the firmware, for
 * good. So the disk is shown again first, and one that was lost meanwhile takes the power away.
 * @throws DpuError `unavailable` when the disk was lost meanwhile.
 */
async function startWithBoot<Result>(
  parts: BmParts,
  boot: FunctionId | null,
  start: () => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  if (boot === null) return await start();
  const hasBoot = async (): Promise<boolean> =>
    (await parts.snic.listFunctions(signal)).some((each) => each.id === boot && each.plugged);
  if (!(await hasBoot())) await parts.snic.plugFunction(boot, signal);
  const result = await start();
  if (await hasBoot()) return result;
  await parts.power.powerOff('hard', 0, signal);
  throw new DpuError('unavailable', 'the host lost its boot disk while it was switched on');
}
