import { DpuError, toDpuError } from '../../core/errors.ts';
import type { KeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { Log } from '../../core/ports/log.ts';
import type { PowerState } from '../../core/ports/power-controller.ts';
import type { FunctionState } from '../../core/ports/snic-controller.ts';
import type { InstanceId } from '../../core/units.ts';
import { driftOf, isWhole, type Mending, machinePower, removalOf, rowsFromMarks, rowsFromVolumes } from './drift.ts';
import { type MendParts, mend } from './mend.ts';
import type { NodeMonitor } from './node-monitor.ts';
import { markedInstances, type Observation, observe, ofInstance } from './observe.ts';
import { patienceMs, within } from './within.ts';

/** What reconciling works with. */
export interface ReconcileParts extends MendParts {
  readonly driver: ComputeDriver;
  readonly monitor: NodeMonitor;
  /** Held by instance while its things are mended; operations hold it too. */
  readonly gate: KeyedLock;
  readonly log: Log;
  readonly clock: Clock;
}

/** Brings what the peers have and what the store says together. */
export interface Reconciler {
  /**
   * One whole pass; calls during a pass join the next one. Answers whether all is settled. Never rejects: what can't be
   * done is logged, and is tried again the next time.
   */
  run(): Promise<boolean>;
  /** Gives up what is under way, and ends when nothing of it runs any more. */
  stop(): Promise<void>;
  /** Functions on the card that are not ours, as last seen; never touched. */
  foreign(): readonly FunctionState[];
}

/** Makes a reconciler. */
export function createReconciler(parts: ReconcileParts): Reconciler {
  const { store, peers, node, driver, monitor, gate, log, clock } = parts;
  const isVm = driver.nodeType === 'VM';
  let foreign: readonly FunctionState[] = [];
  let current: Promise<boolean> | undefined;
  let next: Promise<boolean> | undefined;
  const stopping = new AbortController();

  async function hostPower(): Promise<PowerState> {
    try {
      return await within(clock, patienceMs.ask, (signal) => driver.hostPower(signal), stopping.signal);
    } catch {
      return 'unknown'; // the monitor tells of a BMC that is away
    }
  }

  const busy = (instance: InstanceId): boolean =>
    store.unendedOperations().some((operation) => operation.instance === instance);

  /** The work for an instance, or why nothing is to be done yet. */
  function workFor(instance: InstanceId, seen: Observation, power: PowerState): readonly Mending[] | 'adopt' | 'wait' {
    const record = store.getInstance(instance);
    if (record && record.state !== 'deleted') {
      const rows = {
        instance: record,
        functions: store.functions(instance),
        bindings: store.bindings(instance),
      };
      return driftOf(rows, seen, isVm ? machinePower(seen) : power, isVm);
    }
    if (record) return removalOf(seen);
    // of a VM node the machines are known by now, and nobody but them has a function in use
    if (power === 'unknown' && !isVm) return 'wait';
    if (isWhole(seen)) return 'adopt';
    if (seen.functions.length === 0 && seen.volumes.length > 0) return 'adopt';
    return !isVm && power === 'on' && seen.functions.some((each) => each.plugged) ? 'wait' : removalOf(seen);
  }

  async function adopt(instance: InstanceId, seen: Observation, power: PowerState): Promise<void> {
    // what platforms know of it counted from 1: the seconds of the wall clock are beyond that
    const generation = Math.floor(parts.clock.wallMs() / 1000);
    const rows = rowsFromMarks(seen, isVm ? 'off' : power, generation) ?? rowsFromVolumes(instance, seen, generation);
    for (const each of seen.functions) {
      const port = each.mark?.port;
      if (!each.mark || !port || !each.plugged || each.mac === null) continue;
      await peers.networks.readoptPort({
        portId: each.mark.key as never,
        subnet: port.subnet,
        mac: each.mac,
        ips: port.ips,
        instance: each.mark.instance,
        madeForInstance: each.mark.deleteWithInstance ?? false,
      });
    }
    await store.adopt(rows.instance, rows.functions, rows.bindings);
    log.warn('instance is readopted from its marks', { instance: rows.instance.id, functions: rows.functions.length });
  }

  /** Answers whether the instance is settled. */
  async function settle(instance: InstanceId): Promise<boolean> {
    let leave: () => void;
    try {
      leave = await gate.acquire(instance, stopping.signal);
    } catch {
      return false; // acquire rejects only when the daemon stops
    }
    try {
      if (busy(instance)) return true;
      const [all, power] = await Promise.all([observe(peers, node, clock, stopping.signal, monitor), hostPower()]);
      if (!all) return false;
      const seen = ofInstance(all, node, instance);
      let work = workFor(instance, seen, power);
      if (work === 'adopt') {
        await adopt(instance, seen, power);
        work = workFor(instance, seen, power);
      }
      if (work === 'wait' || work === 'adopt') {
        log.warn('marks of an unknown instance are left alone', { instance, power });
        return false;
      }
      for (const each of work) {
        if (each.do !== 'record') log.warn('drift is mended', { instance, mending: each.do });
        await within(clock, patienceMs.mend, (signal) => mend(parts, instance, each, signal), stopping.signal);
      }
      return true;
    } catch (error) {
      if (stopping.signal.aborted) return false;
      log.error('drift could not be mended', { instance, error: toDpuError(error, 'mending failed') });
      return false;
    } finally {
      leave();
    }
  }

  async function pass(): Promise<boolean> {
    const [seen, power] = await Promise.all([observe(peers, node, clock, stopping.signal, monitor), hostPower()]);
    if (!seen) return false;
    foreign = seen.functions.filter((each) => each.mark?.node !== node);
    const instances = new Set([...store.liveInstances().map((each) => each.id), ...markedInstances(seen, node)]);
    let settled = true;
    let unknown = 0;
    for (const instance of instances) {
      if (stopping.signal.aborted) return false;
      if (busy(instance)) continue;
      const work = workFor(instance, ofInstance(seen, node, instance), power);
      if (typeof work !== 'string' && work.length === 0) continue;
      const done = await settle(instance);
      if (!done && !store.getInstance(instance)) unknown += 1;
      settled &&= done;
    }
    monitor.reason('readopting', unknown === 0 ? null : `${unknown} unknown instance(s) have left marks on the peers`);
    monitor.reason('starting', null);
    monitor.publish();
    return settled;
  }

  function begin(): Promise<boolean> {
    const running = pass().finally(() => {
      if (current === running) current = undefined;
    });
    current = running;
    return running;
  }

  return {
    run() {
      if (!current) return begin();
      next ??= current.then(() => {
        next = undefined;
        return begin();
      });
      return next;
    },
    async stop() {
      stopping.abort(new DpuError('unavailable', 'the daemon stops'));
      await Promise.allSettled([current, next]);
    },
    foreign: () => foreign,
  };
}
