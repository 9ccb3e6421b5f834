import { DpuError, toDpuError } from '../../core/errors.ts';
import { type Clock, type Timer, timestamp } from '../../core/ports/clock.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeIdentity, NodeStore } from '../../core/ports/node-store.ts';
import type { HostInventory, PowerState } from '../../core/ports/power-controller.ts';
import type { CardDescription, SnicController } from '../../core/ports/snic-controller.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { HealthCheck } from '../../schemas/generated/rest.ts';
import {
  advice,
  type CheckId,
  checkIds,
  type Finding,
  type HealthProbe,
  type NotReadyId,
  type WarningId,
} from './health.ts';
import { patienceMs, within } from './within.ts';

/** What the monitor works with. */
export interface NodeMonitorParts {
  readonly store: NodeStore;
  readonly identity: NodeIdentity;
  readonly driver: ComputeDriver;
  readonly snic: SnicController;
  readonly clock: Clock;
  readonly log: Log;
  /** What is looked at beside the peers. */
  readonly probes: readonly HealthProbe[];
  /** What a card that the host may reconfigure comes to. */
  readonly restrictedHost: 'ignore' | 'warn' | 'require';
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
  /** Takes in what a look at something came to; its reasons and warnings follow. */
  note(finding: Finding): void;
  /** All that is looked at, with what was found last and what to do. */
  health(): readonly HealthCheck[];
  /** Tells of a change where there is one; changes that follow each other closely are told as one. */
  publish(): void;
  /** Tells at once what would be told soon. */
  flush(): void;
  /** Tells nothing more. */
  stop(): void;
}

/** A reason or warning that holds. */
interface Held {
  readonly message: string;
  readonly since: string;
}

/** How long changes are gathered before they are told, in milliseconds. */
const gatherMs = 200;

/** Makes a monitor; the node is not ready (`starting`) until somebody clears that. */
export function createNodeMonitor(parts: NodeMonitorParts): NodeMonitor {
  const { store, identity, driver, snic, clock } = parts;
  const reasons = new Map<NotReadyId, Held>();
  const warnings = new Map<WarningId, Held>();
  const findings = new Map<CheckId, Finding>();
  const isVm = driver.nodeType === 'VM';
  const hostCheck = isVm ? 'agent' : 'bmc';
  const away = isVm ? 'agent-unreachable' : 'bmc-unreachable';
  const who = isVm ? 'the agent on the host does not answer' : "the host's BMC does not answer";
  let inventory: HostInventory | null = null;
  let answers = false;
  const power = (): PowerState => (answers ? driver.lastPower() : 'unknown');
  let model = 'unknown';
  let published = '';
  let gathering: Timer | undefined;
  const stopping = new AbortController();
  let generation = Number(store.setting('node.generation') ?? '0');

  function warn(id: WarningId, message: string | null): void {
    if (message === null) {
      if (warnings.delete(id)) parts.log.info('warning is gone', { warning: id });
      return;
    }
    const known = warnings.get(id);
    warnings.set(id, { message, since: known?.since ?? timestamp(clock) });
    if (!known) parts.log.warn('node should be looked at', { warning: id, why: message });
  }

  function note(finding: Finding): void {
    const { check, state, id, found } = finding;
    findings.set(check, finding);
    for (const each of checkIds[check]) {
      reason(each as NotReadyId, state === 'fail' && each === id ? found : null);
      warn(each as WarningId, state === 'warn' && each === id ? found : null);
    }
  }

  function checks(): readonly HealthCheck[] {
    const asked = Object.entries(checkIds).filter(([check]) => check !== (isVm ? 'bmc' : 'agent'));
    const known = asked.map(([check, ids]): HealthCheck => {
      const failed = ids.find((id) => reasons.has(id as NotReadyId));
      const warned = ids.find((id) => warnings.has(id as WarningId));
      const id = failed ?? warned ?? null;
      const held = failed ? reasons.get(failed as NotReadyId) : warnings.get(warned as WarningId);
      const last = findings.get(check as CheckId);
      return {
        id: check,
        state: failed ? 'fail' : warned ? 'warn' : (last?.state ?? 'unknown'),
        reason: id,
        found: held?.message ?? last?.found ?? 'not looked at yet',
        todo: id && advice[id],
        since: held?.since ?? null,
      };
    });
    const ofChecks = new Set<string>(Object.values(checkIds).flat());
    const others = [...reasons].filter(([id]) => !ofChecks.has(id));
    const rest = others.map(
      ([id, { message, since }]): HealthCheck => ({
        id,
        state: 'fail',
        reason: id,
        found: message,
        todo: advice[id],
        since,
      }),
    );
    return [...known, ...rest];
  }

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
      warnings: [...warnings].map(([id, { message, since }]) => ({ id, message, since })),
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

  const told = (seen: ReturnType<typeof content>): NodeStatus => ({
    ...seen,
    generation,
    reported_at: timestamp(clock),
  });
  const status = (): NodeStatus => told(content());

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

  /** Whether the host could reconfigure the card (`mlxprivhost`). */
  function access(card: CardDescription | null): Finding {
    const check = 'card-access';
    if (card === null || card.hostRestricted === null) {
      return { check, state: 'unknown', found: 'the card does not tell whether the host is restricted' };
    }
    if (card.hostRestricted) return { check, state: 'ok', found: 'the host may not reconfigure the card' };
    const found = 'the host may reconfigure the card';
    if (parts.restrictedHost === 'ignore') return { check, state: 'ok', found };
    return { check, state: parts.restrictedHost === 'warn' ? 'warn' : 'fail', id: 'host-unrestricted', found };
  }

  function tell(): void {
    gathering = undefined;
    const seen = content();
    const now = JSON.stringify(seen);
    if (now === published) return;
    published = now;
    generation += 1;
    store
      .setSetting('node.generation', String(generation))
      .catch((error) => parts.log.error('storing the node generation failed', { error }));
    parts.onChange(told(seen));
  }

  return {
    status,
    inventory: () => inventory,
    power,
    reason,
    note,
    health: checks,
    async refresh() {
      const [host, state, card, ...found] = await Promise.all([
        inventory ?? ask(away, who, (signal) => driver.inventory(signal)),
        ask(away, who, (signal) => driver.hostPower(signal)),
        ask('snic-unreachable', 'the snic-controller does not answer', (signal) => snic.describe(signal)),
        ...parts.probes.map((probe) => probe()),
      ]);
      if (stopping.signal.aborted) return;
      inventory = host;
      answers = state !== null;
      if (card) model = card.model;
      if (state) findings.set(hostCheck, { check: hostCheck, state: 'ok', found: `answers; the host is ${state}` });
      if (card) findings.set('snic', { check: 'snic', state: 'ok', found: `answers; ${cardText(card)}` });
      for (const each of [...found, access(card)]) note(each);
      this.publish();
    },
    publish() {
      if (!stopping.signal.aborted) gathering ??= clock.timer(gatherMs, tell);
    },
    flush() {
      gathering?.cancel();
      tell();
    },
    stop() {
      stopping.abort(new DpuError('unavailable', 'the daemon stops'));
      gathering?.cancel();
    },
  };
}

function cardText({ model, capacity, free }: CardDescription): string {
  return `${model}, ${free} of ${capacity} functions free`;
}
