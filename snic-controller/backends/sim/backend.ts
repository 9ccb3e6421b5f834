import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { Backend, BackendFunction, BackendSpec } from '../backend.ts';
import { openSimCard, type SimFunction } from './card.ts';

/** The simulated card. */
export interface SimBackendOptions {
  /** Where the card is kept. */
  readonly file: string;
  readonly functions: number;
  readonly model: string;
  /** The host at the card's first start. */
  readonly hostPower: 'on' | 'off';
  readonly clock: Clock;
}

/** A card with slots and no hardware: it does what it is told at once, and keeps it in a file. */
export function createSimBackend(options: SimBackendOptions): Backend {
  const { functions: capacity, model, clock } = options;
  const card = openSimCard(options.file, options.hostPower);
  const watchers = new Set<() => void>();

  const at = (reservation: JsonObject): SimFunction | undefined =>
    card.functions().find((each) => each.slot === slotOf(reservation));

  /** Ours in its slot. @throws `conflict` when the slot is another's. */
  const ours = (spec: BackendSpec, reservation: JsonObject): SimFunction | undefined => {
    const there = at(reservation);
    if (there === undefined || there.id === spec.id) return there;
    throw new DpuError('conflict', `the place of function ${spec.id} is another's`);
  };

  const freeSlot = (spec: BackendSpec, taken: readonly JsonObject[]): number => {
    const rows = card.functions();
    const own = rows.find((each) => each.id === spec.id);
    if (own) return own.slot;
    const used = new Set([...rows.map((each) => each.slot), ...taken.map(slotOf)]);
    const free = Array.from({ length: capacity }, (_, slot) => slot).filter((slot) => !used.has(slot));
    const slot =
      free.find((each) => card.lastOf(each) === spec.id) ?? free.find((each) => card.lastOf(each) === null) ?? free[0];
    if (slot === undefined) throw new DpuError('exhausted', `card has no function left of ${capacity}`);
    return slot;
  };

  return {
    name: 'sim',
    capabilities: async () => ({
      kinds: (['PF', 'VF'] as const).flatMap((type) => [
        { type, class: 'virtio-net' as const, features: ['mrg_rxbuf', 'mq', 'tso'] },
        { type, class: 'virtio-blk' as const, features: ['mq'] },
        { type, class: 'nvme' as const, features: [] },
      ]),
      vfs: 'made',
      bdf: 'host',
      set: { mac: 'unplugged', link: true, rate: true },
    }),
    describe: async () => ({
      model,
      serialNumber: 'SIM0001',
      capacity,
      free: capacity - card.functions().length,
      hostRestricted: true,
    }),
    reserve: async (spec, taken, signal) => {
      signal?.throwIfAborted();
      return { slot: freeSlot(spec, taken) };
    },
    make: async (spec, reservation, signal) => {
      signal?.throwIfAborted();
      const there = ours(spec, reservation);
      const { id, type, class: cls, mac } = spec;
      const idle = { plugged: false, enumerated: false, unplugPending: false };
      const row = there ?? { slot: slotOf(reservation), id, type, class: cls, mac, ...idle };
      if (there === undefined) card.put(row);
      return { reservation, state: stateOf(row) };
    },
    plug: async (spec, reservation, signal) => {
      signal?.throwIfAborted();
      const row = ours(spec, reservation);
      if (row === undefined) throw new DpuError('not_found', `card has no function ${spec.id}`);
      if (row.plugged && !row.unplugPending) return stateOf(row);
      const enumerated = row.enumerated || card.power === 'on';
      const plugged = { ...row, mac: spec.mac, plugged: true, enumerated, unplugPending: false };
      card.put(plugged);
      return stateOf(plugged);
    },
    unplug: async (spec, reservation, { deadlineMs, force }, signal) => {
      signal?.throwIfAborted();
      const row = ours(spec, reservation);
      if (!row?.plugged) return;
      if (card.power === 'on' && card.holds && !force) {
        card.put({ ...row, unplugPending: true });
        await clock.sleep(deadlineMs, signal);
        if (card.power === 'on' && card.holds) {
          throw new DpuError('busy', `host did not release function ${spec.id}`);
        }
      }
      card.put({ ...row, plugged: false, enumerated: false, unplugPending: false });
    },
    destroy: async (spec, reservation, signal) => {
      signal?.throwIfAborted();
      const row = at(reservation);
      if (row?.id !== spec.id) return;
      if (row.plugged) throw new DpuError('bad_state', `function ${spec.id} is plugged`);
      card.remove(row.slot);
    },
    change: async (spec, reservation, { mac }, signal) => {
      signal?.throwIfAborted();
      const row = ours(spec, reservation);
      if (row && mac !== undefined) card.put({ ...row, mac });
    },
    list: async (signal) => {
      signal?.throwIfAborted();
      return card.functions().map(stateOf);
    },
    keyOf: (reservation) => keyOf(slotOf(reservation)),
    watch: (changed) => {
      watchers.add(changed);
      return () => void watchers.delete(changed);
    },
    close: async () => card.close(),
  };
}

function slotOf(reservation: JsonObject): number {
  const { slot } = reservation;
  if (typeof slot !== 'number') throw new DpuError('internal', 'reservation is not of the simulated card');
  return slot;
}

function keyOf(slot: number): string {
  return `sim-${slot}`;
}

function stateOf(row: SimFunction): BackendFunction {
  const { slot, id, type, class: cls, mac, plugged, enumerated, unplugPending } = row;
  return {
    key: keyOf(slot),
    id,
    type,
    class: cls,
    mac,
    bdf: enumerated ? addressOf(slot) : null,
    bdfState: enumerated ? 'assigned' : 'pending',
    plugged,
    unplugPending,
    representor: cls === 'virtio-net' ? `${type.toLowerCase()}${slot}rep0` : null,
    vuid: `SIM0001-${type}${slot}`,
  };
}

/** Address of a slot: buses from 0x3b on. */
function addressOf(slot: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `0000:${hex(0x3b + (slot >> 8))}:${hex((slot >> 3) & 31)}.${slot & 7}`;
}
