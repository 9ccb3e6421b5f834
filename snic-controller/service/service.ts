import { difference, requireSame } from '../../core/difference.ts';
import { DpuError, hasCode } from '../../core/errors.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { FunctionId, Mac } from '../../core/units.ts';
import type { CardAnswer, FunctionAnswer } from '../../schemas/generated/snic-rpc.ts';
import type { Backend, BackendCapabilities, BackendFunction } from '../backends/backend.ts';
import type { FunctionRecord, FunctionStore } from '../store/store.ts';
import { requireChange, requireKind, type WantedChange, type WantedFunction, wantedMac } from './check.ts';
import { createEffects } from './effects.ts';
import { chooseMac, requireFreeMac } from './mac.ts';
import { foreignId, foreignViewOf, match, viewOf } from './view.ts';

/** What changed since it was last told. */
export interface Changes {
  readonly changed: readonly FunctionAnswer[];
  readonly gone: readonly string[];
}

/** The functions of a card: made, shown, hidden and given back, each under an id that stays. Calls on one id wait for each other. */
export interface SnicService {
  /** @throws DpuError `conflict` (same id, other spec; a MAC that is taken), `exhausted`, `unsupported`, `invalid`. */
  create(wanted: WantedFunction, plug: boolean, signal: AbortSignal): Promise<FunctionAnswer>;
  /** @throws DpuError `not_found`. */
  get(id: FunctionId, signal: AbortSignal): Promise<FunctionAnswer>;
  list(signal: AbortSignal): Promise<readonly FunctionAnswer[]>;
  /** @throws DpuError `not_found`, `denied` (not ours). */
  plug(id: FunctionId, signal: AbortSignal): Promise<FunctionAnswer>;
  /** One that is not there is fine. @throws DpuError `busy`, `denied`. */
  unplug(id: FunctionId, how: { deadlineMs: number; force: boolean }, signal: AbortSignal): Promise<void>;
  /** One that is not there is fine. @throws DpuError `bad_state` (plugged, or it has VFs), `denied`. */
  remove(id: FunctionId, signal: AbortSignal): Promise<void>;
  /** @throws DpuError `not_found`, `denied`, `unsupported`, `bad_state`, `conflict` (a MAC that is taken). */
  set(id: FunctionId, change: WantedChange, signal: AbortSignal): Promise<FunctionAnswer>;
  describe(signal: AbortSignal): Promise<CardAnswer>;
  /** Finishes what was journaled and not done, and adopts what was done and not journaled. What can't be now is logged. */
  settle(): Promise<void>;
  /** Answers all functions, and tells of every change from then on, whoever made it, until `stop`. */
  watch(
    listener: (changes: Changes) => void,
    signal: AbortSignal,
  ): Promise<{ readonly functions: readonly FunctionAnswer[]; stop(): void }>;
  /** Ends following the hardware. */
  close(): Promise<void>;
}

/** Makes the service; `settle` is for the caller to call first. */
export function createSnicService(parts: {
  readonly store: FunctionStore;
  readonly backend: Backend;
  readonly log: Log;
}): SnicService {
  const { store, backend, log } = parts;
  const locks = createKeyedLock();
  const effects = createEffects(parts);
  const closing = new AbortController();
  const listeners = new Set<(changes: Changes) => void>();
  let told = new Map<string, string>();
  let telling: Promise<void> | null = null;
  let tellAgain = false;
  let capable: BackendCapabilities | undefined;

  const capabilities = async (signal: AbortSignal): Promise<BackendCapabilities> => {
    capable ??= await backend.capabilities(signal);
    return capable;
  };

  /** Runs the work as the only one on this id, and tells of what it changed. */
  async function alone<Result>(id: FunctionId, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const release = await locks.acquire(`function ${id}`, signal);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      release();
      tell();
    }
  }

  const all = async (signal?: AbortSignal): Promise<FunctionAnswer[]> => {
    const found = await backend.list(signal);
    const records = store.list().filter((each) => each.phase !== 'reserving');
    const { ours, foreign } = match(backend, store.list(), found);
    return [
      ...records.map((record) => viewOf(effects.seen(record, ours.get(record.id)), ours.get(record.id))),
      ...foreign.map(foreignViewOf),
    ];
  };

  const hardwareOf = async (
    record: FunctionRecord,
    signal: AbortSignal | undefined,
  ): Promise<BackendFunction | undefined> =>
    match(backend, store.list(), await backend.list(signal)).ours.get(record.id);

  const answer = async (record: FunctionRecord, signal: AbortSignal): Promise<FunctionAnswer> => {
    const found = await hardwareOf(record, signal);
    return viewOf(effects.seen(record, found), found);
  };

  /** For an id that the store does not know. @throws DpuError `denied` when the card shows it all the same. */
  async function requireNotForeign(id: FunctionId, signal: AbortSignal): Promise<void> {
    const { foreign } = match(backend, store.list(), await backend.list(signal));
    if (!foreign.some((each) => foreignId(each) === id)) return;
    throw new DpuError('denied', `function ${id} was not made here, and is left alone`);
  }

  async function known(id: FunctionId, signal: AbortSignal): Promise<FunctionRecord> {
    const record = store.get(id);
    if (record && record.phase !== 'destroying' && record.phase !== 'reserving') return record;
    await requireNotForeign(id, signal);
    throw new DpuError('not_found', `card has no function ${id}`);
  }

  function takenMacs(found: readonly BackendFunction[], but: FunctionId): ReadonlyMap<Mac, string> {
    const taken = new Map<Mac, string>();
    for (const each of found) if (each.mac !== null && each.id !== but) taken.set(each.mac, foreignId(each));
    const { ours } = match(backend, store.list(), found);
    const own = ours.get(but);
    if (own?.mac) taken.delete(own.mac);
    for (const each of store.list()) if (each.mac !== null && each.id !== but) taken.set(each.mac, each.id);
    return taken;
  }

  /** Takes a new id in: chooses its MAC and its place, and touches nothing. Places are chosen one after the other. */
  async function admit(wanted: WantedFunction, signal: AbortSignal): Promise<FunctionRecord> {
    requireKind(await capabilities(signal), wanted);
    const parent = wanted.parent === null ? null : await known(wanted.parent, signal);
    if (parent && (parent.type !== 'PF' || wanted.type !== 'VF')) {
      throw new DpuError('invalid', 'parent is the PF of a VF', { field: 'parent' });
    }
    const release = await locks.acquire('places', signal);
    try {
      const found = await backend.list(signal);
      const { foreign } = match(backend, store.list(), found);
      const there = foreign.find((each) => foreignId(each) === wanted.id);
      if (there) requireAdoptable(wanted, there);
      const taken = takenMacs(found, wanted.id);
      const asked = wantedMac(wanted) ?? there?.mac ?? null;
      if (asked !== null) requireFreeMac(asked, taken);
      const mac = asked ?? (wanted.class === 'virtio-net' ? chooseMac(wanted.id, taken) : null);
      const { features, ...rest } = wanted;
      const record: FunctionRecord = {
        ...rest,
        features: features.toSorted(),
        mac,
        reservation: null,
        phase: 'reserving',
        bdf: null,
        representor: null,
        vuid: null,
        link: null,
        rate: null,
        change: null,
      };
      return await effects.reserve(record, signal);
    } finally {
      release();
    }
  }

  /** A function with this id that is on the card and not in the store: taken in again, if it bears the id and is what is wanted. */
  function requireAdoptable(wanted: WantedFunction, there: BackendFunction): void {
    const { type, class: cls } = wanted;
    const mac = wantedMac(wanted);
    const want = { type, class: cls, ...(mac !== null && there.mac !== null ? { mac } : {}) };
    const details = difference(there, want);
    if (there.id === wanted.id && details === null) return;
    throw new DpuError('conflict', `function ${wanted.id} is on the card, and was not made here`, {
      ...(details && { details }),
    });
  }

  function requireSameSpec(record: FunctionRecord, wanted: WantedFunction): void {
    const { id, type, class: cls, parent, mark } = wanted;
    const mac = wantedMac({ ...wanted, class: record.class });
    requireSame(`function ${id}`, record, {
      type,
      class: cls,
      features: wanted.features.toSorted(),
      parent,
      ...(mac === null ? {} : { mac }),
      ...(mark === null ? {} : { mark }),
    });
  }

  /** Gathers what changed into one telling. */
  function tell(): void {
    if (listeners.size === 0) return;
    tellAgain = true;
    telling ??= tellAll().finally(() => {
      telling = null;
    });
  }

  async function tellAll(): Promise<void> {
    while (tellAgain && listeners.size > 0) {
      tellAgain = false;
      try {
        const now = await all(closing.signal);
        const texts = textsOf(now);
        const before = told;
        told = texts;
        const changed = now.filter((each) => before.get(each.id) !== texts.get(each.id));
        const gone = [...before.keys()].filter((id) => !texts.has(id));
        if (changed.length + gone.length > 0) for (const listener of listeners) listener({ changed, gone });
      } catch (error) {
        if (!closing.signal.aborted) log.debug('changes can not be told now', { error });
        return; // the card is away; its return is a change that is told
      }
    }
  }

  async function settleAll(
    which: (record: FunctionRecord, found: BackendFunction | undefined) => boolean,
  ): Promise<void> {
    const { ours, foreign } = match(backend, store.list(), await backend.list(closing.signal));
    if (foreign.length > 0) log.debug('functions of others are left alone', { functions: foreign.map(foreignId) });
    const due = store.list().filter((record) => which(record, ours.get(record.id)));
    await Promise.all(
      due.map(({ id }) =>
        alone(id, closing.signal, async () => {
          const record = store.get(id);
          if (record === undefined) return;
          const now = await hardwareOf(record, closing.signal);
          if (which(record, now)) await effects.settle(record, now, closing.signal);
        }).catch((error: unknown) => {
          if (!closing.signal.aborted) log.warn('a function is not as it should be yet', { function: id, error });
        }),
      ),
    );
  }

  let following: Promise<void> | null = null;
  let followAgain = false;
  const unwatch = backend.watch(() => {
    followAgain = true;
    following ??= follow().finally(() => {
      following = null;
    });
  });
  /** The hardware changed by itself: only what differs from the journal is looked into. */
  async function follow(): Promise<void> {
    while (followAgain && !closing.signal.aborted) {
      followAgain = false;
      try {
        await settleAll((record, found) => !effects.asJournaled(record, found));
      } catch (error) {
        if (!closing.signal.aborted) log.warn('the card can not be looked at now', { error });
      }
      tell();
    }
  }

  return {
    create: (wanted, plug, signal) =>
      alone(wanted.id, signal, async () => {
        wantedMac(wanted);
        let record = store.get(wanted.id);
        if (record?.phase === 'destroying' || record?.phase === 'reserving') {
          await effects.destroy(record, signal);
          record = undefined;
        }
        if (record) requireSameSpec(record, wanted);
        else record = await admit(wanted, signal);
        if (record.phase === 'making') record = await effects.make(record, signal);
        if (plug) record = await effects.plug(record, signal);
        return await answer(record, signal);
      }),
    get: async (id, signal) => {
      const found = (await all(signal)).find((each) => each.id === id);
      if (found === undefined) throw new DpuError('not_found', `card has no function ${id}`);
      return found;
    },
    list: all,
    plug: (id, signal) =>
      alone(id, signal, async () => {
        let record = await known(id, signal);
        if (record.phase === 'making') record = await effects.make(record, signal);
        return await answer(await effects.plug(record, signal), signal);
      }),
    unplug: (id, how, signal) =>
      alone(id, signal, async () => {
        const record = store.get(id);
        if (record === undefined) await requireNotForeign(id, signal);
        else await effects.unplug(record, how, signal);
      }),
    remove: (id, signal) =>
      alone(id, signal, async () => {
        const record = store.get(id);
        if (record === undefined) return requireNotForeign(id, signal);
        const vf = store.list().find((each) => each.parent === id);
        if (vf) throw new DpuError('bad_state', `function ${id} has a VF, ${vf.id}`);
        const found = await hardwareOf(record, signal);
        if (found?.plugged) throw new DpuError('bad_state', `function ${id} is plugged`);
        await effects.destroy(record, signal);
      }),
    set: (id, change, signal) =>
      alone(id, signal, async () => {
        const record = await known(id, signal);
        const found = await backend.list(signal);
        const plugged = match(backend, store.list(), found).ours.get(id)?.plugged ?? false;
        const mac = change.mac === undefined ? null : wantedMac({ class: record.class, mac: change.mac });
        requireChange(await capabilities(signal), { class: record.class, plugged }, change);
        if (mac !== null) requireFreeMac(mac, takenMacs(found, id));
        const { link, rate } = change;
        const wanted = {
          ...(mac === null ? {} : { mac }),
          ...(link === undefined ? {} : { link }),
          ...(rate === undefined ? {} : { rateBitsPerSecond: rate }),
        };
        return await answer(await effects.change(record, wanted, signal), signal);
      }),
    describe: async (signal) => {
      const { kinds, vfs, bdf, set } = await capabilities(signal);
      const card = await backend.describe(signal);
      const { ours } = match(backend, store.list(), await backend.list(signal));
      const unseen = store.list().filter((each) => !ours.has(each.id)).length;
      return {
        backend: backend.name,
        model: card.model,
        serial_number: card.serialNumber,
        capacity: card.capacity,
        free: Math.max(0, card.free - unseen),
        host_restricted: card.hostRestricted,
        kinds: kinds.map((kind) => ({ ...kind, features: [...kind.features] })),
        vfs,
        bdf,
        set: { ...set },
      };
    },
    settle: async () => {
      try {
        await settleAll(() => true);
      } catch (error) {
        if (!hasCode(error, 'unavailable') && !hasCode(error, 'timeout')) throw error;
        log.warn('the card is away; what is unfinished goes on when it is back', { error });
      }
    },
    watch: async (listener, signal) => {
      const functions = await all(signal);
      if (listeners.size === 0) told = textsOf(functions);
      listeners.add(listener);
      tell(); // of what changed while nobody listened
      return { functions, stop: () => void listeners.delete(listener) };
    },
    close: async () => {
      unwatch();
      closing.abort(new DpuError('unavailable', 'the program stops'));
      await Promise.all([following, telling]);
    },
  };
}

function textsOf(functions: readonly FunctionAnswer[]): Map<string, string> {
  return new Map(functions.map((each) => [each.id, JSON.stringify(each)]));
}
