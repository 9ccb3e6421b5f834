import {
  DeviceNotFoundError,
  deviceDel,
  GenericError,
  type QmpClient,
  UnplugPendingError,
  UnplugRefusedError,
} from 'qmp-client';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { isOff } from './host-devices.ts';
import { allSlots, pendingName } from './slot.ts';

/** What an unplug may take. */
export interface UnplugLimits {
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Unplugs a device. A running host is asked, and has until the deadline to let go; one that is off is reset, which makes QEMU do it, and which
 * nobody in it can notice. One that goes off meanwhile is treated as such.
 * @throws `busy` at the deadline, and when the host refuses; the request stays with QEMU then, and another call goes on with it.
 */
export async function unplugDevice(qmp: QmpClient, name: string, limits: UnplugLimits): Promise<void> {
  const { clock, signal, deadlineMs } = limits;
  const deadline = clock.monotonicMs() + deadlineMs;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const timeoutMs = Math.max(0, deadline - clock.monotonicMs());
      const gone = (await isOff(qmp))
        ? await unplugWhileOff(qmp, name, signal)
        : await unplugWhileOn(qmp, name, timeoutMs, signal);
      if (gone) return;
    } catch (error) {
      if (error instanceof DeviceNotFoundError) return;
      if (error instanceof UnplugRefusedError || error instanceof UnplugPendingError) {
        throw new DpuError('busy', `host did not let go of ${name}`, { cause: error });
      }
      throw error;
    }
  }
}

/** Whether it is gone; false when the host was switched on meanwhile. */
async function unplugWhileOff(qmp: QmpClient, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  const gone = deviceDel(qmp, name, { joinPending: true, ...(signal && { signal }) });
  gone.catch(() => {}); // awaited below, unless something else fails first
  // asked again as late as can be: a running host is never reset
  if (!(await isOff(qmp))) return false;
  await qmp.execute('system_reset');
  await gone;
  return true;
}

/** Whether it is gone; false when the host went off meanwhile. */
async function unplugWhileOn(
  qmp: QmpClient,
  name: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const goesOff = qmp.waitForEvent('SHUTDOWN', { timeoutMs: 2 ** 31 - 1, signal: both }).then(() => false);
  try {
    const gone = deviceDel(qmp, name, { joinPending: true, timeoutMs, signal: both }).then(() => true);
    gone.catch(() => {}); // the one that is not first is stopped
    goesOff.catch(() => {});
    return await Promise.race([gone, goesOff]);
  } finally {
    stop.abort();
  }
}

/** Notes in QEMU itself that an unplug was asked for in a slot: the note lives as long as the request does. */
export async function notePending(qmp: QmpClient, slot: number): Promise<void> {
  try {
    await qmp.execute('object-add', { 'qom-type': 'throttle-group', id: pendingName(slot) });
  } catch (error) {
    if (!(error instanceof GenericError && (await pendingSlots(qmp)).has(slot))) throw error;
  }
}

/** Takes the note away; there may be none. */
export async function forgetPending(qmp: QmpClient, slot: number): Promise<void> {
  if ((await pendingSlots(qmp)).has(slot)) await qmp.execute('object-del', { id: pendingName(slot) });
}

/** The slots whose unplug was asked for. */
export async function pendingSlots(qmp: QmpClient): Promise<ReadonlySet<number>> {
  const names = new Set((await qmp.execute('qom-list', { path: '/objects' })).map((each) => each.name));
  return new Set(allSlots.filter((slot) => names.has(pendingName(slot))));
}
