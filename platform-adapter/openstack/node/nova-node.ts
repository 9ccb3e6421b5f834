import { DpuError, hasCode } from '../../../core/errors.ts';
import type { ComputeService } from '../../../core/ports/compute-service.ts';
import type { NodeStatus } from '../../../schemas/generated/node-status.ts';
import { cleanExpiredConsoles } from '../wire/console-tokens.ts';
import { listInstancesByHost, listSoftDeleted, type NovaInstance, readInstance } from '../wire/instances.ts';
import { listUnconfirmed, type NovaMigration } from '../wire/migrations.ts';
import { isNova } from '../wire/nova-errors.ts';
import type { Primitive } from '../wire/objects.ts';
import { syncInstances } from '../wire/scheduler.ts';
import { type ServiceRecord, saveService } from '../wire/service-records.ts';
import { type Periodic, type PeriodicTask, startPeriodic } from './periodic.ts';
import { ownScope, type Registration, register } from './registration.ts';
import { createResources, type ResourceParts } from './resources.ts';

/** What the node asks of those who handle servers. */
export interface NodeHooks {
  /**
   * The control plane knows the host, and servers were not asked for yet: puts right what a restart cut short, and removes what was
   * evacuated away. May be called again when registering failed after it.
   */
  recover(registration: Registration, signal: AbortSignal): Promise<void>;
  /** The node's record and offer are there: requests may be taken from now on. Called once. */
  serve(signal: AbortSignal): Promise<void>;
  /** Makes the info cache of a server what Neutron has; one server a time. */
  healInfoCache(instance: string, signal: AbortSignal): Promise<void>;
  /** Makes nova's power states what the hosts have. */
  syncPowerStates(instances: readonly NovaInstance[], signal: AbortSignal): Promise<void>;
  /** Confirms moves to this host that nobody confirmed in time. */
  confirmMoves(migrations: readonly NovaMigration[], signal: AbortSignal): Promise<void>;
  /** Deletes servers whose time to be restored is over; as nova sent them. */
  reclaim(instances: readonly Primitive[], signal: AbortSignal): Promise<void>;
  /** More work that is done again and again once requests are taken. */
  readonly tasks?: readonly PeriodicTask[];
}

/** What a node works with. */
export interface NovaNodeParts extends ResourceParts {
  readonly service: Pick<ComputeService, 'nodeStatus' | 'subscribe'>;
  readonly hooks: NodeHooks;
}

/** This host as nova's compute service. */
export interface NovaNode {
  /** Requests are taken. Rejects with the reason when it is stopped before. */
  readonly serving: Promise<void>;
  /** Tells nova and Placement soon what changed: after a build, a resize, a delete. Changes that follow each other closely are told as one. */
  refresh(): void;
  /** The broker is there again: the next report does not wait. */
  reconnected(): void;
  /** nova's set_host_enabled: answers what it set. */
  setHostEnabled(enabled: boolean, signal: AbortSignal): Promise<'enabled' | 'disabled'>;
  /** Whether the host is reported as up: the last report got through. */
  reporting(): boolean;
  /** Why the last try to register failed; null before the first one, and once the host is registered. */
  trouble(): string | null;
  /** Ends reports; the control plane sees the host as down a minute later, as with nova's own. */
  stop(): Promise<void>;
}

/** nova's own waits 5 s, and is not up as long. */
const firstReportMs = 0;
const firstRetryMs = 1_000;
const mostRetryMs = 60_000;

/** How long changes of what servers use are gathered. Placement knows of each at once, by its allocation; this is for nova's own filters and lists. */
const gatherMs = 2_000;
const consoleIntervalMs = 300_000;
/** How often nova looks for what its users have left; a shorter time is looked at as often as it ends. */
const mostWindowMs = 60_000;

/** Begins to register with the control plane, and goes on trying while it is away; then reports until it is stopped. */
export function startNovaNode(parts: NovaNodeParts): NovaNode {
  const { rpc, settings, hooks, clock, log } = parts;
  const { host } = settings;
  const resources = createResources(parts);
  const stopping = new AbortController();
  const { signal } = stopping;
  let periodic: Periodic | undefined;
  let reporting = false;
  let trouble: string | null = null;
  let wake = (): void => {};

  async function registerOnce(): Promise<Registration> {
    const registration = await register({ ...parts, host, node: settings.node }, signal);
    await hooks.recover(registration, signal);
    await resources.update(signal);
    return registration;
  }

  async function begin(): Promise<void> {
    let failing = false;
    for (let delay = firstRetryMs; ; delay = Math.min(delay * 2, mostRetryMs)) {
      try {
        const { service, instances } = await registerOnce();
        await hooks.serve(signal);
        log.info('registered with nova', { host, service: service.id, version: service.version });
        reporting = true;
        trouble = null;
        periodic = startPeriodic(tasksOf(service, instances.length > 0), { clock, log });
        return;
      } catch (error) {
        signal.throwIfAborted();
        const isOurs = hasCode(error, 'unavailable') || hasCode(error, 'timeout');
        if (!failing || !isOurs)
          log[isOurs ? 'warn' : 'error']('nova does not take the node; it is tried again', { error });
        failing = true;
        trouble = error instanceof DpuError ? error.message : 'see the log';
      }
      await pause(delay);
    }
  }

  async function pause(ms: number): Promise<void> {
    const woken = new AbortController();
    wake = () => woken.abort();
    try {
      await clock.sleep(ms, AbortSignal.any([signal, woken.signal]));
    } catch {
      signal.throwIfAborted(); // else the broker is there again: no reason to wait any longer
    }
  }

  function tasksOf(service: ServiceRecord, hasServers: boolean): readonly PeriodicTask[] {
    const own = (stop: AbortSignal) => ownScope(parts, stop);
    const servers = (stop: AbortSignal): Promise<readonly NovaInstance[]> =>
      listInstancesByHost(rpc.conductor(own(stop)), host, [], { use_slave: true });
    return [
      { name: 'report', firstMs: firstReportMs, intervalMs: settings.reportIntervalMs, ...heartbeat(service) },
      { name: 'resources', intervalMs: settings.resourcesIntervalMs, run: (stop) => resources.updateUsage(stop) },
      { name: 'info-cache', intervalMs: settings.healIntervalMs, run: healer(servers) },
      {
        name: 'scheduler',
        intervalMs: settings.schedulerSyncIntervalMs,
        firstMs: hasServers ? 0 : settings.schedulerSyncIntervalMs,
        run: async (stop) => {
          const uuids = (await servers(stop)).map(({ uuid }) => uuid);
          await syncInstances(rpc, own(stop), host, uuids);
        },
      },
      {
        name: 'power',
        intervalMs: settings.powerSyncIntervalMs,
        run: async (stop) => hooks.syncPowerStates(await servers(stop), stop),
      },
      {
        name: 'consoles',
        intervalMs: consoleIntervalMs,
        run: (stop) => cleanExpiredConsoles(rpc.conductor(own(stop))),
      },
      ...windowTasks(),
      ...(hooks.tasks ?? []),
    ];
  }

  /** What users have left for longer than they may; a time of 0 is none. */
  function windowTasks(): readonly PeriodicTask[] {
    const { resizeConfirmWindowSec: confirmSec, reclaimIntervalSec: reclaimSec } = settings;
    const task = (name: string, seconds: number, run: PeriodicTask['run']): readonly PeriodicTask[] =>
      seconds === 0 ? [] : [{ name, intervalMs: Math.min(seconds * 1000, mostWindowMs), run }];
    return [
      ...task('unconfirmed', confirmSec, async (stop) => {
        const conductor = rpc.conductor(ownScope(parts, stop));
        await hooks.confirmMoves(await listUnconfirmed(conductor, confirmSec, host), stop);
      }),
      ...task('reclaim', reclaimSec, async (stop) => {
        const all = await listSoftDeleted(rpc.conductor(ownScope(parts, stop)), host);
        const before = clock.wallMs() - reclaimSec * 1000;
        const isOver = (each: Primitive): boolean => {
          const { deleted_at: at } = readInstance(each, 'instance');
          return at === null || Date.parse(at) <= before;
        };
        await hooks.reclaim(all.filter(isOver), stop);
      }),
    ];
  }

  /** Service.save of a higher count: what the host is up by. All ends with a record that was deleted: an operator took the host out. */
  function heartbeat(service: ServiceRecord): Pick<PeriodicTask, 'run' | 'retryMs'> {
    let count = service.report_count;
    return {
      retryMs: firstRetryMs,
      async run(stop) {
        const timeoutMs = 2 * settings.reportIntervalMs;
        try {
          await saveService(rpc.conductor({ ...ownScope(parts, stop), timeoutMs }), service, {
            report_count: count + 1,
          });
          count += 1;
          reporting = true;
        } catch (error) {
          reporting = false;
          if (!isNova(error, 'ServiceNotFound')) throw error;
          periodic?.stop().catch(() => {}); // it ends with this very run, and nothing in it throws
          log.error('the compute service was deleted in nova; restart the daemon to register again', { host });
        }
      },
    };
  }

  /** One server a pass, each in its turn. */
  function healer(servers: (stop: AbortSignal) => Promise<readonly NovaInstance[]>): PeriodicTask['run'] {
    let queue: string[] = [];
    return async (stop) => {
      const there = await servers(stop);
      const uuids = new Set(there.map(({ uuid }) => uuid));
      if (queue.length === 0) queue = [...uuids];
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        if (!uuids.has(next)) continue;
        await hooks.healInfoCache(next, stop);
        return;
      }
    };
  }

  const refresh = (): void => periodic?.hurry('resources', gatherMs);
  let last = readiness(parts.service.nodeStatus());
  const unsubscribe = parts.service.subscribe((event) => {
    if (event.type !== 'node') return;
    const now = readiness(event.data as NodeStatus);
    if (now.offer !== last.offer) periodic?.hurry('resources');
    else if (now.instances !== last.instances) refresh();
    last = now;
  });

  /** What of the status changes the offer: at once, and by what instances that nova does not know of hold. */
  function readiness({ ready, total_cpu, total_mem, instances }: NodeStatus) {
    return {
      offer: JSON.stringify([ready, total_cpu, total_mem]),
      instances: instances.map(({ uuid }) => uuid).join(),
    };
  }

  const serving = begin();
  serving.catch(() => {}); // told to whoever waits for it

  return {
    serving,
    refresh,
    reconnected() {
      wake();
      periodic?.hurry('report');
    },
    async setHostEnabled(enabled, stop) {
      if (resources.record() === undefined) throw new DpuError('busy', 'the node is not registered with nova yet');
      await resources.setEnabled(enabled, stop);
      return enabled ? 'enabled' : 'disabled';
    },
    reporting: () => reporting,
    trouble: () => trouble,
    async stop() {
      unsubscribe();
      stopping.abort(new DpuError('unavailable', 'the daemon stops'));
      await serving.catch(() => {}); // it ends by our own reason
      reporting = false;
      await periodic?.stop();
    },
  };
}
