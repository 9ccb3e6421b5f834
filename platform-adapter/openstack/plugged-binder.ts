import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { NetworkBinder } from '../../core/ports/network-binder.ts';
import type { Neutron } from './rest/neutron.ts';

/** How long a binding waits for Neutron at most: shorter than the step that binds has, which would fail for it. */
const mostMs = 40_000;

const lookEveryMs = 500;

/** What the wait for Neutron works with. */
export interface PluggedParts {
  readonly neutron: Pick<Neutron, 'showPort'>;
  /** nova's vif_plugging_timeout; 0: nothing is waited for. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * A switch whose port counts as bound when Neutron says that it is ACTIVE: so a host is not switched on before its network is there. A port
 * that is not ACTIVE in time is bound all the same; whether that is the end of a build is for nova's request to say.
 */
export function createPluggedBinder(binder: NetworkBinder, { neutron, timeoutMs, clock }: PluggedParts): NetworkBinder {
  if (timeoutMs === 0) return binder;
  return {
    ...binder,
    async bind(spec, signal, wait) {
      const bound = await binder.bind(spec, signal, wait);
      if (wait?.traffic === false) return bound;
      const endsAt = clock.monotonicMs() + Math.min(timeoutMs, mostMs);
      while (!(await isActive(neutron, spec.portId, signal)) && clock.monotonicMs() < endsAt)
        await clock.sleep(lookEveryMs, signal);
      return bound;
    },
  };
}

/** Whether a port is ACTIVE; one that Neutron can't be asked for, or does not have, is not waited for. */
async function isActive(
  neutron: PluggedParts['neutron'],
  port: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    return (await neutron.showPort(port, { signal })).status === 'ACTIVE';
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof DpuError) return true; // the binding is no worse for it
    throw error;
  }
}
