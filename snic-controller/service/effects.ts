import { DpuError, hasCode } from '../../core/errors.ts';
import type { Log } from '../../core/ports/log.ts';
import type { JsonObject } from '../../core/units.ts';
import type { Backend, BackendChange, BackendFunction, BackendSpec } from '../backends/backend.ts';
import type { FunctionRecord, FunctionStore } from '../store/store.ts';

/**
 * The effects on the card, each journaled before it is begun and after it is done. All are ensures, and all are for one who holds the function's
 * lock. Each answers the record as it is then.
 */
export interface Effects {
  /** Takes a new record in. One that gets no place leaves nothing. */
  reserve(record: FunctionRecord, signal: AbortSignal): Promise<FunctionRecord>;
  /** One that is refused for good leaves nothing. */
  make(record: FunctionRecord, signal: AbortSignal): Promise<FunctionRecord>;
  plug(record: FunctionRecord, signal: AbortSignal): Promise<FunctionRecord>;
  /** After a failure it stays asked for: a host that lets go later is not shown the function again. */
  unplug(
    record: FunctionRecord,
    how: { readonly deadlineMs: number; readonly force: boolean },
    signal: AbortSignal,
  ): Promise<FunctionRecord>;
  destroy(record: FunctionRecord, signal: AbortSignal): Promise<void>;
  change(record: FunctionRecord, change: BackendChange, signal: AbortSignal): Promise<FunctionRecord>;
  /** Finishes what the record says was begun, and makes good what the card lost; adopts what it has already. */
  settle(record: FunctionRecord, found: BackendFunction | undefined, signal: AbortSignal): Promise<void>;
  /** Whether nothing is to be done: the card has it as it was last journaled, or the host was asked to let go and has not yet. */
  asJournaled(record: FunctionRecord, found: BackendFunction | undefined): boolean;
  /** Keeps the first address that the host gave. */
  seen(record: FunctionRecord, found: BackendFunction | undefined): FunctionRecord;
}

/** How long a start waits for a host to release what it was asked for before. */
const settleUnplugMs = 5000;

const refusals = ['invalid', 'conflict', 'exhausted', 'unsupported'] as const;

/** What the backend is told of a function. */
export function specOf(record: FunctionRecord, parent: JsonObject | null): BackendSpec {
  const { id, type, class: cls, mac, features } = record;
  return { id, type, class: cls, mac, features, parent };
}

/** Puts store and backend together. */
export function createEffects(parts: {
  readonly store: FunctionStore;
  readonly backend: Backend;
  readonly log: Log;
}): Effects {
  const { store, backend, log } = parts;

  function put(record: FunctionRecord, change: Partial<FunctionRecord>): FunctionRecord {
    const next = { ...record, ...change };
    store.put(next);
    return next;
  }

  const spec = (record: FunctionRecord): BackendSpec =>
    specOf(record, record.parent === null ? null : (store.get(record.parent)?.reservation ?? null));

  function place({ id, reservation }: FunctionRecord): JsonObject {
    if (reservation === null) throw new DpuError('internal', `function ${id} has no place`);
    return reservation;
  }

  const placesButOf = ({ id }: FunctionRecord): readonly JsonObject[] =>
    store.list().flatMap((each) => (each.id === id || !each.reservation ? [] : [each.reservation]));

  /** What was set with a plugged function in mind does not outlive an unplug in every card. */
  async function reapply(record: FunctionRecord, signal: AbortSignal): Promise<void> {
    const { link, rate } = record;
    if (link === null && rate === null) return;
    await backend.change(
      spec(record),
      place(record),
      { ...(link === null ? {} : { link }), ...(rate === null ? {} : { rateBitsPerSecond: rate }) },
      signal,
    );
  }

  /** Whether the host sees it; when that can't be found out, what was begun stays so. */
  async function isPlugged(record: FunctionRecord): Promise<boolean | null> {
    const key = backend.keyOf(place(record));
    try {
      const found = await backend.list();
      return found.some((each) => each.plugged && (each.id === record.id || (each.id === null && each.key === key)));
    } catch {
      return null; // the error that led here tells more
    }
  }

  const effects: Effects = {
    async reserve(record, signal) {
      store.put(record);
      try {
        const reservation = await backend.reserve(spec(record), placesButOf(record), signal);
        return put(record, { reservation, phase: 'making' });
      } catch (error) {
        store.remove(record.id);
        throw error;
      }
    },
    async make(record, signal) {
      try {
        const { reservation, state } = await backend.make(spec(record), place(record), signal, placesButOf(record));
        const { representor, vuid, plugged } = state;
        const fresh = record.phase === 'making';
        const settled = plugged ? 'plugged' : 'made';
        const phase = fresh || record.phase === 'made' ? settled : record.phase;
        const next = put(record, { reservation, representor, vuid, phase });
        if (fresh || next.phase !== record.phase) log.info('function is there', { function: record.id, plugged });
        return next;
      } catch (error) {
        if (record.phase === 'making' && refusals.some((code) => hasCode(error, code))) {
          await effects.destroy(record, signal).catch((cause: unknown) => {
            log.warn('a function that could not be made is not cleared away yet', {
              function: record.id,
              error: cause,
            });
          });
        }
        throw error;
      }
    },
    async plug(record, signal) {
      const { phase } = record;
      const begun = phase === 'plugged' ? record : put(record, { phase: 'plugging' });
      try {
        const state = await backend.plug(spec(begun), place(begun), signal);
        await reapply(begun, signal);
        const next = put(begun, { phase: 'plugged', bdf: record.bdf ?? state.bdf });
        if (phase !== 'plugged') log.info('function plugged', { function: record.id, bdf: state.bdf });
        return next;
      } catch (error) {
        if (phase === 'unplugging') put(record, { phase });
        else if (phase !== 'plugged' && (await isPlugged(record)) === false) put(record, { phase: 'made' });
        throw error;
      }
    },
    async unplug(record, { deadlineMs, force }, signal) {
      if (record.reservation === null || record.phase === 'making' || record.phase === 'destroying') return record;
      const begun = put(record, { phase: 'unplugging' });
      await backend.unplug(spec(begun), place(begun), { deadlineMs, force }, signal);
      const next = put(begun, { phase: 'made' });
      if (record.phase !== 'made') log.info('function unplugged', { function: record.id });
      return next;
    },
    async destroy(record, signal) {
      if (record.reservation !== null) {
        const hidden = ['plugging', 'plugged', 'unplugging'].includes(record.phase)
          ? await effects.unplug(record, { deadlineMs: 0, force: false }, signal)
          : record;
        const begun = put(hidden, { phase: 'destroying' });
        try {
          await backend.destroy(spec(begun), place(begun), signal, placesButOf(begun));
        } catch (error) {
          if (hasCode(error, 'bad_state')) put(begun, { phase: 'plugged' });
          throw error;
        }
      }
      store.remove(record.id);
      log.info('function given back', { function: record.id });
    },
    async change(record, change, signal) {
      const begun = put(record, { change });
      try {
        await backend.change(spec(begun), place(begun), change, signal);
      } catch (error) {
        put(begun, { change: null });
        throw error;
      }
      const { mac, link, rateBitsPerSecond } = change;
      return put(begun, {
        change: null,
        ...(mac === undefined ? {} : { mac }),
        ...(link === undefined ? {} : { link }),
        ...(rateBitsPerSecond === undefined ? {} : { rate: rateBitsPerSecond }),
      });
    },
    async settle(record, found, signal) {
      switch (record.phase) {
        case 'reserving':
        case 'destroying':
          return effects.destroy(record, signal);
        case 'making':
          await effects.make(record, signal);
          return;
        case 'unplugging':
          await effects.unplug(record, { deadlineMs: found?.plugged ? settleUnplugMs : 0, force: false }, signal);
          return;
        case 'made':
        case 'plugging':
        case 'plugged': {
          // what a card forgets with the SoC is made again, at the same place
          const made = await effects.make(record, signal);
          const now = made.change === null ? made : await effects.change(made, made.change, signal);
          if (now.phase !== 'made') await effects.plug(now, signal);
          return;
        }
      }
    },
    asJournaled: ({ phase, change }, found) => {
      if (change !== null) return false;
      const plugged = found?.plugged ?? false;
      if (phase === 'made') return !plugged;
      return (phase === 'plugged' || phase === 'unplugging') && plugged;
    },
    seen: (record, found) => {
      if (record.bdf !== null || !found?.plugged || found.bdf === null) return record;
      const current = store.get(record.id);
      return current && current.bdf === null ? put(current, { bdf: found.bdf }) : record;
    },
  };
  return effects;
}
