import type { OperationKind } from '../../core/instance-state.ts';
import { createEngine } from '../../core/operation/engine.ts';
import { isEnded } from '../../core/operation/journal.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeIdentity, NodeStore } from '../../core/ports/node-store.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import type { Random } from '../../core/ports/random.ts';
import type { InstanceRecord } from '../../core/records.ts';
import type { InstanceId } from '../../core/units.ts';
import type { BiosKeeper } from './bios.ts';
import { type ConsoleAccess, createComputeService, type InitiatorNames } from './compute-service.ts';
import type { Consoles } from './consoles.ts';
import { createEventFeed } from './events.ts';
import type { CatalogueFlavor } from './flavors.ts';
import { type GuestDefaults, guestDefaults } from './guest.ts';
import type { HealthProbe } from './health.ts';
import { createMembership } from './membership.ts';
import { createNodeMonitor } from './node-monitor.ts';
import type { Peers } from './observe.ts';
import { expirePasswords } from './password-expiry.ts';
import { createPlanner } from './planner.ts';
import { createReconciler } from './reconcile.ts';
import { operationView } from './views.ts';

/** What a daemon is made of; `main.ts` makes these out of concrete classes, tests out of others. */
export interface DaemonParts {
  readonly store: NodeStore;
  readonly identity: NodeIdentity;
  readonly driver: ComputeDriver;
  readonly peers: Peers;
  readonly flavors: Readonly<Record<string, CatalogueFlavor>>;
  /** What instances get where their request does not say; default: no drive, their own image to rescue with. */
  readonly guests?: GuestDefaults;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits: {
    readonly maxConcurrent: number;
    readonly drainMs: number;
    readonly reconcileIntervalMs: number;
    readonly retainMs: number;
    readonly maxOperations: number;
  };
  /** Absent: it has none of its own. */
  readonly initiator?: InitiatorNames;
  /** Keeps the host's BIOS settings. */
  readonly bios: BiosKeeper;
  /** What is looked at beside the peers: disk, clock. */
  readonly probes: readonly HealthProbe[];
  readonly restrictedHost: 'ignore' | 'warn' | 'require';
  /** Refuses what the disk has no room for; absent: nothing. */
  readonly admit?: (kind: OperationKind) => Promise<void>;
  /** Tells when a peer came back and may have forgotten what is ours; answers how to stop listening. */
  readonly onPeerRestart: (listener: () => void) => () => void;
  /** The host's console, shared and logged; null where it has none. */
  readonly consoles: (ConsoleAccess & { readonly hub: Consoles }) | null;
  /** Ways in from platforms, made with the use cases. */
  readonly adapters: (service: ComputeService) => readonly PlatformAdapter[];
  /** The store or the journal failed: nothing may go on. */
  readonly onFatal: (error: unknown) => void;
}

/** A daemon at work. */
export interface Daemon {
  readonly service: ComputeService;
  readonly adapters: readonly PlatformAdapter[];
  /** Goes on with what was left, reconciles once, then lets the platforms in. */
  start(): Promise<void>;
  /** Takes no more requests and lets steps under way end; operations go on at the next start. The store stays open. */
  stop(): Promise<void>;
  /** One pass of reconciling, beside the timer's. */
  reconcile(): Promise<boolean>;
  counts(): { readonly running: number; readonly waiting: number; readonly stuck: number };
}

/** A platform's way in, with what keeps the node out where it says so. */
function named({ name, trouble }: PlatformAdapter): string {
  const why = trouble?.() ?? null;
  return why === null ? name : `${name} (${why})`;
}

/** Wires a daemon together; nothing runs before `start`. */
export function createDaemon(parts: DaemonParts): Daemon {
  const { store, identity, driver, peers, clock, random, log, limits } = parts;
  const gate = createKeyedLock();
  const events = createEventFeed(clock);
  const broker: HealthProbe = async () => {
    if (adapters.length === 0) return { check: 'broker', state: 'ok', found: 'none is configured' };
    const names = adapters.map(({ name }) => name).join(', ');
    if (adapters.every((adapter) => adapter.connected())) {
      return { check: 'broker', state: 'ok', found: `connected: ${names}` };
    }
    return { check: 'broker', state: 'unknown', found: `not connected now: ${adapters.map(named).join(', ')}` };
  };
  const noFirmware: HealthProbe = async () => ({ check: 'bios', state: 'ok', found: 'no tenant reaches the firmware' });
  const isSettled = (): boolean =>
    !monitor.status().not_ready_reasons.some(({ id }) => id === 'starting' || id === 'readopting');
  const monitor = createNodeMonitor({
    store,
    identity,
    driver,
    snic: peers.snic,
    clock,
    log,
    probes: [
      ...parts.probes,
      ...(driver.nodeType === 'BM' ? [() => parts.bios.look(isSettled())] : [noFirmware]),
      broker,
    ],
    restrictedHost: parts.restrictedHost,
    onChange: (status) => events.emit('node', () => status),
  });
  monitor.reason('starting', 'the node looks at what it finds');
  const engine = createEngine({
    journal: store,
    planner: createPlanner(store, driver, clock),
    clock,
    random,
    log,
    gate,
    maxConcurrent: limits.maxConcurrent,
    load: (id) => store.getOperation(id),
    supersede: (id) => store.supersede(id),
    onFatal: parts.onFatal,
  });
  const reconciler = createReconciler({
    store,
    peers: { ...peers, machines: driver.machines ?? null },
    node: identity.uuid,
    unplugDeadlineMs: 30_000,
    driver,
    monitor,
    gate,
    log,
    clock,
  });
  const service = createComputeService({
    store,
    engine,
    driver,
    monitor,
    events,
    random,
    clock,
    flavors: parts.flavors,
    volumes: peers.volumes,
    networks: peers.networks,
    node: identity.uuid,
    foreignFunctions: reconciler.foreign,
    bios: parts.bios,
    initiator: parts.initiator ?? { hostNqn: null, initiatorIqn: null },
    admit: parts.admit ?? (async () => undefined),
    consoles: parts.consoles,
    guests: parts.guests ?? guestDefaults,
    membership: () => membership,
  });
  const stopping = new AbortController();
  const adapters = parts.adapters(service);
  const membership = createMembership({ store, monitor, adapters, clock, log, drainMs: limits.drainMs });
  const subscriptions: (() => void)[] = [];
  let timer: Timer | undefined;
  let stopped = false;

  /** The host's console is the instance's that has the host, and a machine's its own once it was made; what it showed goes with the instance. */
  function assignConsole(ended: readonly InstanceId[]): void {
    const hub = parts.consoles?.hub;
    if (!hub) return;
    const isThere = driver.nodeType === 'BM' ? () => true : ({ state }: InstanceRecord) => state !== 'building';
    const owners = store.liveInstances().filter((each) => each.claimed && isThere(each));
    hub.assign(owners.map(({ id }) => id));
    for (const id of ended) {
      if (store.getInstance(id)?.state !== 'deleted') continue;
      hub.forget(id).catch((error: unknown) => log.warn('a console log cannot be erased', { instance: id, error }));
    }
  }

  async function look(): Promise<boolean> {
    const before = isSettled();
    await monitor.refresh();
    const settled = await reconciler.run();
    if (stopped) return settled;
    if (!before && isSettled()) await monitor.refresh(); // what waited for that: the first baseline of BIOS settings
    if (stopped) return settled;
    await expirePasswords({ store, volumes: peers.volumes, node: identity.uuid, gate, clock, log }, stopping.signal);
    if (stopped) return settled;
    await store.prune({ olderThanMs: limits.retainMs, maxOperations: limits.maxOperations });
    return settled;
  }

  function schedule(): void {
    if (stopped) return;
    timer = clock.timer(limits.reconcileIntervalMs, () => {
      look().catch(parts.onFatal).finally(schedule);
    });
  }

  return {
    service,
    adapters,
    async start() {
      membership.recall();
      const maintenance = store.setting('maintenance');
      if (maintenance !== null) monitor.reason('maintenance', maintenance === '' ? 'maintenance' : maintenance);
      subscriptions.push(
        store.onCommit((notice) => {
          for (const id of events.watched() ? notice.operations : notice.settled) {
            const record = store.getOperation(id);
            if (!record) continue;
            events.emit('operation', () => operationView(record));
            // an operation that ended may have changed the host's power; that of a host of machines is not the instances'
            if (driver.nodeType === 'BM' && isEnded(record.state)) monitor.refresh().catch(parts.onFatal);
          }
          for (const id of notice.instances) {
            if (store.getInstance(id)) events.emit('instance', () => service.getInstance(id));
          }
          if (notice.instances.length > 0) monitor.publish();
          if (notice.instances.length > 0) assignConsole(notice.instances);
        }),
        parts.onPeerRestart(() => {
          look().catch(parts.onFatal);
        }),
      );
      for (const operation of store.unendedOperations()) engine.submit(operation);
      await look();
      assignConsole([]);
      schedule();
      await membership.start();
      log.info('node is up', { hostname: identity.hostname, ready: service.nodeStatus().ready });
    },
    async stop() {
      stopped = true;
      stopping.abort();
      timer?.cancel();
      monitor.stop();
      parts.consoles?.hub.close();
      for (const unsubscribe of subscriptions) unsubscribe();
      // side by side: an operation accepted meanwhile is journaled, and begins at the next start
      await Promise.all([
        reconciler.stop(),
        engine.stop(limits.drainMs),
        ...adapters.map((adapter) => adapter.stop(limits.drainMs)),
      ]);
    },
    reconcile: look,
    counts: engine.counts,
  };
}
