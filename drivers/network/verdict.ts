import { DeadlineError } from 'ovsdb-client';
import { DpuError } from '../../core/errors.ts';
import { ovsError } from './ovs-link.ts';
import type { CallLimits } from './port-transactions.ts';
import { type InterfaceRow, isTaken, type OvsCache, type SwitchPort } from './tables.ts';

/** What is waited for. */
export interface TakenOptions extends CallLimits {
  readonly waitOvnInstalled: boolean;
  /** For the error. */
  readonly representor: string;
  /** The row was there before: an error in it counts once the switch has looked at it again. */
  readonly mayBeOld: boolean;
  readonly isUp: () => boolean;
}

/**
 * Ends when the switch took the interface; adding a port succeeds even where it never can.
 * @throws DpuError `not_found` (it could not be opened), `timeout`, `unavailable` (ovs-vswitchd is away, or the port was taken away).
 */
export async function awaitTaken(cache: OvsCache, { nic }: SwitchPort, options: TakenOptions): Promise<void> {
  const { timeoutMs, signal, representor, mayBeOld, waitOvnInstalled } = options;
  const asked = mayBeOld ? nextConfig(cache) : 0;
  const look = (): true | undefined => {
    const now = cache.table('Interface').get(nic._uuid);
    if (!now) throw new DpuError('unavailable', 'the port was taken away while it was bound');
    if (isTaken(now)) return !waitOvnInstalled || now.external_ids.get('ovn-installed') === 'true' ? true : undefined;
    if (isRefused(now) && configured(cache) >= asked) {
      throw new DpuError('not_found', `Open vSwitch could not open representor ${representor}`, {
        field: 'representor',
        details: { says: now.error },
      });
    }
    return undefined;
  };
  try {
    await cache.until(look, { timeoutMs, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw ovsError(error, 'waiting for a port', signal);
    if (!options.isUp()) throw new DpuError('unavailable', 'ovs-vswitchd is away', { cause: error });
    const now = cache.table('Interface').get(nic._uuid);
    const missing = now && isTaken(now) ? 'OVN did not install its flows' : 'Open vSwitch did not take the port';
    throw new DpuError('timeout', `${missing} within ${timeoutMs} ms`, { cause: error });
  }
}

/** Waits until the switch has done all that the database says; where it does not in time, it does so later. */
export async function awaitConfigured(cache: OvsCache, { timeoutMs, signal }: CallLimits): Promise<void> {
  const asked = nextConfig(cache);
  try {
    await cache.until(() => configured(cache) >= asked, { timeoutMs, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw ovsError(error, 'waiting for the switch', signal);
  }
}

function isRefused(nic: InterfaceRow): boolean {
  return nic.error !== null || nic.ofport === -1;
}

function nextConfig(cache: OvsCache): number {
  return [...cache.table('Open_vSwitch').rows()][0]?.next_cfg ?? 0;
}

function configured(cache: OvsCache): number {
  return [...cache.table('Open_vSwitch').rows()][0]?.cur_cfg ?? 0;
}
