import type { Clock } from '../../core/ports/clock.ts';
import type { Machines } from '../../core/ports/compute-driver.ts';
import type { Log } from '../../core/ports/log.ts';
import type { InstanceId } from '../../core/units.ts';
import { type ConsoleHub, type ConsoleHubParts, createConsoleHub } from './console-hub.ts';

/** The consoles of a node's instances: one that is the host's, or one of each machine. */
export interface Consoles extends Pick<ConsoleHub, 'join' | 'history' | 'forget' | 'close'> {
  /** Who has a console now. What others had open is ended. */
  assign(instances: readonly InstanceId[]): void;
}

/** The console of a bare-metal node: the host's, for the one instance that has it. */
export function hostConsoles(parts: ConsoleHubParts): Consoles {
  const hub = createConsoleHub(parts);
  return { ...hub, assign: (instances) => hub.assign(instances[0] ?? null) };
}

/** The consoles of a VM node: each machine's, kept open and logged as long as it is there. */
export function machineConsoles(parts: {
  readonly machines: Pick<Machines, 'openConsole'>;
  readonly logOf: ConsoleHubParts['logOf'];
  readonly clock: Clock;
  readonly log: Log;
}): Consoles {
  const { machines, logOf, clock, log } = parts;
  const hubs = new Map<InstanceId, ConsoleHub>();
  function open(instance: InstanceId): ConsoleHub {
    const console = { open: (signal: AbortSignal) => machines.openConsole(instance, signal) };
    const hub = createConsoleHub({ console, logOf, clock, log: log.child({ instance }) });
    hubs.set(instance, hub);
    return hub;
  }
  return {
    assign(instances) {
      for (const [instance, hub] of hubs) if (!instances.includes(instance)) hub.assign(null);
      for (const instance of instances) (hubs.get(instance) ?? open(instance)).assign(instance);
    },
    join: (instance, watcher) => hubs.get(instance)?.join(instance, watcher) ?? null,
    history: async (instance, bytes) => await (hubs.get(instance) ?? open(instance)).history(instance, bytes),
    async forget(instance) {
      const hub = hubs.get(instance) ?? open(instance);
      hub.assign(null);
      hubs.delete(instance);
      await hub.forget(instance);
    },
    close() {
      for (const hub of hubs.values()) hub.close();
    },
  };
}
