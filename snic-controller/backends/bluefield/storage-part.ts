import { DpuError, hasCode } from '../../../core/errors.ts';
import type { KeyedLock } from '../../../core/operation/keyed-lock.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { FunctionId, JsonObject } from '../../../core/units.ts';
import type { BackendFunction, BackendSpec } from '../backend.ts';
import { hotPlug } from './network-part.ts';
import { noPool, type Part } from './part.ts';
import type { Snap, StorageClass } from './snap.ts';
import type { EmulatedDevice } from './snap-view.ts';
import { awaitAnswer } from './wait.ts';

/** What storage functions are made with. */
export interface StorageTools {
  readonly snap: Snap;
  readonly clock: Clock;
  readonly log: Log;
  readonly locks: KeyedLock;
  readonly hotplugTimeoutMs: number;
  readonly settleMs: number;
}

const never = new AbortController().signal;
const kind = 'snap';
const making = 'making';
/** How long SNAP has to answer when the host's own deadline is over, in milliseconds. */
const answerMs = 2000;

/**
 * Storage PFs by SNAP-4: a function is made unseen (`…_function_create`), gets its controller from whoever serves the disk, and is shown last
 * (`…_controller_hotplug`). It outlives SNAP's process, and its VUID is the only name that it keeps.
 *
 * A reservation is `{kind: 'snap', class, before, vuid}`: `before` are the VUIDs that were there when it was reserved, so that a function whose
 * VUID nobody wrote down is found again. SNAP 3 and the first releases of SNAP-4 show a function before anything can serve it: theirs are listed
 * and not made.
 */
export function createStoragePart(tools: StorageTools): Part {
  const { snap, clock, log, locks, hotplugTimeoutMs, settleMs } = tools;
  /** What was made or found by this process, so that two at once never take the same for theirs. */
  const claimed = new Map<string, FunctionId>();

  const find = async (reservation: JsonObject, signal?: AbortSignal): Promise<EmulatedDevice | undefined> => {
    const { vuid } = reservationOf(reservation);
    if (vuid === null) return undefined;
    return (await snap.list(signal)).find((each) => each.vuid === vuid);
  };

  /** Ours. @throws `conflict` where the VUID is another function's now. */
  const ours = async (
    spec: BackendSpec,
    reservation: JsonObject,
    signal?: AbortSignal,
  ): Promise<EmulatedDevice | undefined> => {
    const found = await find(reservation, signal);
    if (!found || (found.class === spec.class && (found.id ?? spec.id) === spec.id)) return found;
    throw new DpuError('conflict', `${found.vuid} is not function ${spec.id}`);
  };

  /** The one function that came since the reservation, is nobody's, and is not used yet: made by us and not written down. */
  const orphan = (
    spec: BackendSpec,
    { before }: StorageReservation,
    all: readonly EmulatedDevice[],
    taken: readonly JsonObject[],
  ): EmulatedDevice | undefined => {
    const others = taken.flatMap((each) => (each.kind === kind ? [reservationOf(each)] : []));
    const known = new Set([...before, ...others.map((each) => each.vuid)]);
    const fresh = all.filter(
      ({ vuid, type, class: cls, controller, plugged }) =>
        vuid !== null &&
        type === 'PF' &&
        cls === spec.class &&
        controller === null &&
        !plugged &&
        !known.has(vuid) &&
        (claimed.get(vuid) ?? spec.id) === spec.id,
    );
    // each of our others whose VUID is unknown may have one of them; they are all alike
    const unnamed = others.filter((each) => each.vuid === null && each.class === spec.class).length;
    if (fresh.length <= unnamed + 1) return fresh[0];
    log.warn('functions came that nobody knows; none is taken for ours', {
      function: spec.id,
      vuids: fresh.map((each) => each.vuid),
    });
    return undefined;
  };

  /** @throws `hardware` when SNAP does not list what it made. */
  const create = async (spec: BackendSpec, signal?: AbortSignal): Promise<EmulatedDevice> => {
    const vuid = await snap.create(classOf(spec), signal);
    claimed.set(vuid, spec.id);
    const found = (await snap.list(signal)).find((each) => each.vuid === vuid);
    if (!found) throw new DpuError('hardware', `SNAP made ${vuid} and does not list it`);
    return found;
  };

  const isUnplugged = async (reservation: JsonObject, signal?: AbortSignal): Promise<boolean> =>
    !(await find(reservation, signal))?.plugged;

  return {
    kind,
    kinds: async (signal) => (await snap.classes(signal)).map((each) => ({ type: 'PF', class: each, features: [] })),
    pool: noPool,
    reserve: async (spec, taken, signal) => {
      const all = await snap.list(signal);
      const named = all.find((each) => each.id === spec.id && each.class === spec.class && each.type === 'PF');
      const others = new Set(taken.map((each) => each.vuid));
      const vuid = named?.vuid != null && !others.has(named.vuid) ? named.vuid : null;
      return { kind, class: spec.class, before: all.flatMap((each) => each.vuid ?? []), vuid };
    },
    make: async (spec, reservation, signal, taken = []) => {
      const release = await locks.acquire(making, signal ?? never);
      try {
        const found =
          (await ours(spec, reservation, signal)) ??
          orphan(spec, reservationOf(reservation), await snap.list(signal), taken) ??
          (await create(spec, signal));
        if (found.vuid !== null) claimed.set(found.vuid, spec.id);
        return { reservation: { ...reservation, vuid: found.vuid }, state: stateOf(found) };
      } finally {
        release();
      }
    },
    plug: async (spec, reservation, signal) => {
      const found = await ours(spec, reservation, signal);
      if (!found) throw new DpuError('not_found', `card has no function ${spec.id}`);
      if (found.plugged) return stateOf(found);
      if (found.controller === null) throw new DpuError('unavailable', `nothing serves function ${spec.id} yet`);
      const release = await locks.acquire(hotPlug, signal ?? never);
      try {
        await snap.hotplug(classOf(spec), found.controller, { timeoutMs: hotplugTimeoutMs, signal });
      } catch (error) {
        signal?.throwIfAborted();
        const now = await ours(spec, reservation, signal); // never again without a look
        if (!now?.plugged) throw error;
      } finally {
        release();
      }
      const now = await ours(spec, reservation, signal);
      if (!now) throw new DpuError('hardware', `function ${spec.id} went away when it was plugged`);
      return { ...stateOf(now), plugged: true, ...(now.address.bdf === null ? { bdfState: 'pending' } : {}) };
    },
    unplug: async (spec, reservation, { deadlineMs }, signal) => {
      const found = await find(reservation, signal);
      if (!found?.plugged || found.class !== spec.class || (found.id ?? spec.id) !== spec.id) return;
      if (found.controller === null) {
        throw new DpuError('unavailable', `function ${spec.id} can be unplugged only while something serves it`);
      }
      const end = clock.monotonicMs() + deadlineMs;
      let refusal: unknown;
      try {
        const limits = { timeoutMs: deadlineMs + answerMs, signal };
        await snap.hotunplug(classOf(spec), found.controller, limits);
      } catch (error) {
        signal?.throwIfAborted();
        if (hasCode(error, 'unavailable') || hasCode(error, 'unsupported')) throw error;
        refusal = error;
      }
      const left = Math.max(0, end - clock.monotonicMs());
      const limits = { ms: left, everyMs: settleMs, signal };
      if (await awaitAnswer(clock, limits, () => isUnplugged(reservation, signal))) return;
      throw new DpuError('busy', `host did not release function ${spec.id}`, { cause: refusal });
    },
    destroy: async (spec, reservation, signal, taken) => {
      const wanted = reservationOf(reservation);
      // without a list of the others' it can't be told whether what is left over is ours
      const lost = wanted.vuid === null && taken ? orphan(spec, wanted, await snap.list(signal), taken) : undefined;
      const found = lost ?? (await find(reservation, signal));
      if (found?.vuid == null || found.class !== spec.class || (found.id ?? spec.id) !== spec.id) return;
      if (found.plugged) throw new DpuError('bad_state', `function ${spec.id} is plugged`);
      if (found.controller !== null) throw new DpuError('busy', `function ${spec.id} is still served`);
      const { vuid } = found;
      try {
        await snap.destroy(classOf(spec), vuid, signal);
      } catch (error) {
        signal?.throwIfAborted();
        if ((await snap.list(signal)).some((each) => each.vuid === vuid)) throw error;
      }
      claimed.delete(vuid);
    },
    change: async (_spec, _reservation, change) => {
      const [field] = Object.keys(change);
      if (field !== undefined) throw new DpuError('unsupported', 'a storage function has nothing to change', { field });
    },
    list: async (signal) =>
      (await snap.list(signal)).map((each) => ({
        state: stateOf(each),
        takesPort: each.type === 'PF' && each.hotplugged,
      })),
    keyOf: (reservation) => reservationOf(reservation).vuid,
  };
}

interface StorageReservation {
  readonly class: string;
  readonly before: readonly string[];
  readonly vuid: string | null;
}

/** @throws `internal` for a reservation of somebody else. */
function reservationOf({ class: cls, before, vuid }: JsonObject): StorageReservation {
  if (typeof cls === 'string' && Array.isArray(before) && (vuid === null || typeof vuid === 'string')) {
    return { class: cls, before: before.filter((each): each is string => typeof each === 'string'), vuid };
  }
  throw new DpuError('internal', 'reservation is not of the BlueField backend');
}

function classOf(spec: BackendSpec): StorageClass {
  if (spec.class !== 'virtio-net') return spec.class;
  throw new DpuError('internal', `function ${spec.id} is no storage function`);
}

function stateOf(device: EmulatedDevice): BackendFunction {
  const { vuid, place, type, class: cls, address, plugged, id } = device;
  return {
    key: vuid ?? place,
    id,
    type,
    class: cls,
    mac: null,
    ...address,
    plugged,
    unplugPending: false,
    representor: null,
    vuid,
  };
}
