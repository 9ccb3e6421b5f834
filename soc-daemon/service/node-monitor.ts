import { DpuError, toDpuError } from '../../core/errors.ts';
import { type Clock, type Timer, timestamp } from '../../core/ports/clock.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeIdentity, NodeStore } from '../../core/ports/node-store.ts';
import type { HostInventory, PowerState } from '../../core/ports/power-controller.ts';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import { patienceMs, within } from './within.ts';

/** Stable ids of why a node takes no instances. */
export type NotReadyId =
  | 'starting'
  | 'readopting'
  | 'maintenance'
  | 'bmc-unreachable'
  | 'snic-unreachable'
  | 'ovs-unreachable'
  | 'storage-unreachable'
  | 'volumes-unreachable'
  | 'networks-unreachable'
  | 'clock-unsynchronised';

/** What the monitor works with. */
export interface NodeMonitorParts {
  readonly store: NodeStore;
  readonly identity: NodeIdentity;
  readonly driver: ComputeDriver;
  readonly snic: SnicController;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether the wall clock is synchronised; null where nobody can tell. */
  readonly clockSynchronised: () => Promise<boolean | null>;
  readonly onChange: (status: NodeStatus) => void;
}

/** What is known of the node. */
export interface NodeMonitor {
  /** The node as last seen. */
  status(): NodeStatus;
  inventory(): HostInventory | null;
  power(): PowerState;
  /** Asks the BMC and the card. Never rejects: a peer that is away is a reason not to be ready. */
  refresh(): Promise<void>;
  /** Sets or clears a reason; the message is for people. */
  reason(id: NotReadyId, message: string | null): void;
  /** Tells of a change where there is one; changes that follow each other closely are told as one. */
  publish(): void;
  /** Tells nothing more. */
  stop(): void;
}

/** How long changes are gathered before they are told, in milliseconds. */
const gatherMs = 200;

/** Makes a monitor; the node is not ready (`starting`) until somebody clears that. */
export function createNodeMonitor(parts: NodeMonitorParts): NodeMonitor {
  const { store, identity, driver, snic, clock } = parts;
  const reasons = new Map<NotReadyId, { readonly message: string; readonly since: string }>();
  let inventory: HostInventory | null = null;
  let answers = false;
  const power = (): PowerState => (answers ? driver.lastPower() : 'unknown');
  let model = 'unknown';
  let published = '';
  let gathering: Timer | undefined;
  const stopping = new AbortController();
  let generation = Number(store.setting('node.generation') ?? '0');

  function reason(id: NotReadyId, message: string | null): void {
    if (message === null) {
      if (reasons.delete(id)) parts.log.info('reason not to be ready is gone', { reason: id });
      return;
    }
    const known = reasons.get(id);
    if (known?.message === message) return;
    reasons.set(id, { message, since: known?.since ?? timestamp(clock) });
    if (known) return;
    // Each start begins so: nothing that a person should look at.
    const level = id === 'starting' ? 'info' : 'warn';
    parts.log[level]('node is not ready', { reason: id, why: message });
  }

  /** Everything but what changes by itself. */
  function content() {
    const instances = store.liveInstances();
    const claimed = instances.filter((instance) => instance.claimed);
    const total = { cpu: inventory?.cpus ?? 0, mem: inventory?.memoryMib ?? 0 };
    const whole = driver.nodeType === 'BM' && claimed.length > 0;
    return {
      hostname: identity.hostname,
      uuid: identity.uuid,
      ready: reasons.size === 0,
      not_ready_reasons: [...reasons].map(([id, { message, since }]) => ({ id, message, since })),
      node_type: driver.nodeType,
      DPU_model: model,
      total_cpu: total.cpu,
      used_cpu: whole ? total.cpu : claimed.reduce((sum, each) => sum + each.flavor.vcpus, 0),
      total_mem: total.mem,
      used_mem: whole ? total.mem : claimed.reduce((sum, each) => sum + each.flavor.memory_mib, 0),
      serial_number: inventory?.serialNumber ?? null,
      host_power: power(),
      instances: instances.flatMap((instance) => store.instanceView(instance.id) ?? []),
    };
  }

  const status = (): NodeStatus => ({ ...content(), generation, reported_at: timestamp(clock) });

  async function ask<Answer>(
    id: NotReadyId,
    what: string,
    call: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer | null> {
    try {
      const answer = await within(clock, patienceMs.ask, call, stopping.signal);
      reason(id, null);
      return answer;
    } catch (error) {
      if (stopping.signal.aborted) return null;
      reason(id, `${what}: ${toDpuError(error, 'the call failed').message}`);
      return null;
    }
  }

  function tell(): void {
    gathering = undefined;
    const now = JSON.stringify(content());
    if (now === published) return;
    published = now;
    generation += 1;
    store
      .setSetting('node.generation', String(generation))
      .catch((error) => parts.log.error('storing the node generation failed', { error }));
    parts.onChange(status());
  }

  return {
    status,
    inventory: () => inventory,
    power,
    reason,
    async refresh() {
      const [host, state, card, synchronised] = await Promise.all([
        inventory ?? ask('bmc-unreachable', "the host's BMC does not answer", (signal) => driver.inventory(signal)),
        ask('bmc-unreachable', "the host's BMC does not answer", (signal) => driver.hostPower(signal)),
        ask('snic-unreachable', 'the snic-controller does not answer', (signal) => snic.describe(signal)),
        parts.clockSynchronised(),
      ]);
      inventory = host;
      answers = state !== null;
      if (card) model = card.model;
      reason('clock-unsynchronised', synchronised === false ? 'the clock is not synchronised' : null);
      this.publish();
    },
    publish() {
      if (!stopping.signal.aborted) gathering ??= clock.timer(gatherMs, tell);
    },
    stop() {
      stopping.abort(new DpuError('unavailable', 'the daemon stops'));
      gathering?.cancel();
    },
  };
}
